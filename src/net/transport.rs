//! How every endpoint is reached, as one thing to hand on.
//!
//! [`NetworkTransport`] is the real one: the proxy and the trusted certificates of the configuration. It is a trait so that a
//! simulation can stand in for the network.

use std::fmt;
use std::sync::Arc;

use hyper::Uri;
use rustls::pki_types::CertificateDer;

use crate::config::{Config, Network};
use crate::net::client::{Caller, ClientError};
use crate::net::connect::{Dial, Dialer};
use crate::net::tls::Trust;

/// Reaches AMP, STS and Entra ID.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Connects to the endpoint of this URL; `None` where that has no host.
    fn connector(&self, url: &Uri) -> Option<Box<dyn Dial>>;

    /// Calls STS and Entra ID.
    ///
    /// # Errors
    /// Where the client cannot be built.
    fn client(&self) -> Result<Caller, ClientError>;

    /// Trusts these certificates beside the built-in ones from now on, for new connections.
    ///
    /// # Errors
    /// Where one of them cannot be trusted; nothing is changed then.
    fn replace_roots(&self, roots: &[CertificateDer<'static>]) -> Result<(), rustls::Error>;

    /// The same for another configuration.
    ///
    /// # Errors
    /// Where a certificate of its bundle cannot be trusted.
    fn rebuild(&self, config: &Config) -> Result<Arc<dyn Transport>, rustls::Error>;
}

/// The network, by the configured proxy and with the configured trust.
#[derive(Debug)]
pub struct NetworkTransport {
    /// What is trusted.
    pub trust: Trust,
    /// Through which proxy, if any.
    pub network: Network,
}

impl NetworkTransport {
    /// As the configuration wants it.
    ///
    /// # Errors
    /// Where a certificate of its bundle cannot be trusted.
    pub fn new(config: &Config) -> Result<Self, rustls::Error> {
        Ok(Self {
            trust: Trust::new(&config.extra_roots)?,
            network: config.network.clone(),
        })
    }
}

impl Transport for NetworkTransport {
    fn connector(&self, url: &Uri) -> Option<Box<dyn Dial>> {
        Some(Box::new(Dialer::new(url, &self.network, &self.trust)?))
    }

    fn client(&self) -> Result<Caller, ClientError> {
        Caller::new(&self.trust, &self.network)
    }

    fn replace_roots(&self, roots: &[CertificateDer<'static>]) -> Result<(), rustls::Error> {
        self.trust.replace(roots)
    }

    fn rebuild(&self, config: &Config) -> Result<Arc<dyn Transport>, rustls::Error> {
        Ok(Arc::new(Self::new(config)?))
    }
}
