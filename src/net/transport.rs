//! The way out to the network, as one thing to hand on.
//!
//! [`NetworkTransport`] is the real one: the configured proxy and trusted certificates. [`Transport`] is a trait so that a
//! simulation can stand in for the network.

use std::fmt;
use std::sync::Arc;

use hyper::Uri;
use rustls::pki_types::CertificateDer;

use crate::config::{Config, Network};
use crate::net::client::HttpClient;
use crate::net::connect::{Connect, Connector, Connectors};
use crate::net::tls::Trust;

/// Reaches AMP, STS and Entra ID.
pub trait Transport: Connectors + fmt::Debug {
    /// A client for STS and Entra ID.
    fn client(&self) -> HttpClient;

    /// Trusts these certificates beside the built-in ones from now on, for new connections.
    ///
    /// # Errors
    /// Where one of them is no valid CA certificate; nothing is changed then.
    fn replace_roots(&self, roots: &[CertificateDer<'static>]) -> Result<(), rustls::Error>;

    /// The same for another configuration.
    ///
    /// # Errors
    /// Where a certificate of its bundle is no valid CA certificate.
    fn rebuild(&self, config: &Config) -> Result<Arc<dyn Transport>, rustls::Error>;
}

/// The network, with the configured proxy and trust.
#[derive(Debug, Clone)]
pub struct NetworkTransport {
    /// What is trusted.
    pub trust: Trust,
    /// By which proxy, if any.
    pub network: Network,
}

// === impl NetworkTransport ===

impl NetworkTransport {
    /// As configured.
    ///
    /// # Errors
    /// Where a certificate of the bundle is no valid CA certificate.
    pub(crate) fn new(config: &Config) -> Result<Self, rustls::Error> {
        Ok(Self {
            trust: Trust::new(&config.extra_roots)?,
            network: config.network.clone(),
        })
    }
}

impl Connectors for NetworkTransport {
    fn connector(&self, url: &Uri) -> Option<Box<dyn Connect>> {
        let connector = Connector::new(url, &self.network, &self.trust)?;
        Some(Box::new(connector))
    }
}

impl Transport for NetworkTransport {
    fn client(&self) -> HttpClient {
        HttpClient::new(Arc::new(self.clone()))
    }

    fn replace_roots(&self, roots: &[CertificateDer<'static>]) -> Result<(), rustls::Error> {
        self.trust.replace(roots)
    }

    fn rebuild(&self, config: &Config) -> Result<Arc<dyn Transport>, rustls::Error> {
        Ok(Arc::new(Self::new(config)?))
    }
}
