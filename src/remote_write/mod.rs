//! Remote write as bytes: what a body says it is, what it holds, and how it is cut or written anew. Bytes in, facts out.

pub mod content_type;
pub mod contents;
pub mod convert;
pub mod inspect;
pub mod payload;
pub mod split;
pub mod wire;
pub mod written_stats;
