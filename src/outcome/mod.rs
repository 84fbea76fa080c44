//! What becomes of a batch: what AMP says, and the response to the sender.

pub mod amp_response;
pub mod docs;
pub mod remedy;
pub mod response;
pub mod verdict;
