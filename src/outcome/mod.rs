//! The result of a batch: what AMP's response means, and the response to the sender.

pub mod amp_response;
pub mod docs;
pub mod remedy;
pub mod response;
pub mod series_name;
pub mod verdict;
