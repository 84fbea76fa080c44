//! Remote write as bytes: detect a body's version, count its contents, split it, convert 2.0 to 1.0. Pure: bytes in, facts out.

pub mod body_count;
pub mod content_type;
pub mod contents;
pub mod convert;
pub mod inspect;
pub mod payload;
pub mod split;
pub mod wire;
pub mod written_stats;
