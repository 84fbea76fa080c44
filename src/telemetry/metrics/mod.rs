//! The metrics, and the formats for scrapers.

pub mod definitions;
pub mod durations;
pub mod estimate;
pub mod exposition;
pub mod labels;
pub mod process;
pub mod queries;
pub mod registry;
pub mod snapshot;
pub mod spans;
pub mod workspace;
