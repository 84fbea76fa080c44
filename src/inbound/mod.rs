//! The senders' side: connections, client authentication, and draining.

pub mod drain;
pub mod listener;
pub mod server_auth;
