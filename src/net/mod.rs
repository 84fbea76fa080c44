//! The one way out to the network: names, connections, proxies and TLS for AMP, STS, Entra ID and a collector.

pub mod client;
pub mod connect;
pub mod happy_eyeballs;
pub mod pool;
pub mod proxy_tunnel;
pub mod resolver;
pub mod stream;
pub mod tls;
pub mod tls_client;
pub mod transport;
