//! What the listeners read of HTTP by themselves: heads, bodies in chunks, dates and what browsers say.

pub mod body;
pub mod browser;
pub mod date;
pub mod head;
