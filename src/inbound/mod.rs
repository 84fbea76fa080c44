//! The senders' side: connections, who may come in, and when nobody comes any more.

pub mod drain;
pub mod listener;
pub mod server_auth;
