//! HTTP details that the listeners handle themselves: request heads, chunked bodies, dates and browser headers.

pub(crate) mod between;
pub mod body;
pub mod browser;
pub mod date;
pub mod head;
