//! The network, bundled for its callers.
//!
//! [`NetworkTransport`] is the real one: the configured proxy and trusted certificates. [`Transport`] is a trait so that a simulation
//! can replace the network.

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

    /// A client for what this machine or node serves, which no proxy reaches.
    fn direct_client(&self) -> HttpClient;

    /// Trusts these certificates in addition to the built-in ones from now on, for new connections.
    ///
    /// # Errors
    /// If one of them is not a valid CA certificate; then nothing changes.
    fn replace_roots(&self, roots: &[CertificateDer<'static>]) -> Result<(), rustls::Error>;

    /// The same for another configuration.
    ///
    /// # Errors
    /// If a certificate of its bundle is not a valid CA certificate.
    fn rebuild(&self, config: &Config) -> Result<Arc<dyn Transport>, rustls::Error>;
}

/// The network, with the configured proxy and trust.
#[derive(Debug, Clone)]
pub struct NetworkTransport {
    /// The trusted certificates.
    pub trust: Trust,
    /// The proxy, if any.
    pub network: Network,
}

// === impl NetworkTransport ===

impl NetworkTransport {
    /// As configured.
    ///
    /// # Errors
    /// If a certificate of the bundle is not a valid CA certificate.
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

    fn direct_client(&self) -> HttpClient {
        HttpClient::new(Arc::new(Self {
            trust: self.trust.clone(),
            network: Network::default(),
        }))
    }

    fn replace_roots(&self, roots: &[CertificateDer<'static>]) -> Result<(), rustls::Error> {
        self.trust.replace(roots)
    }

    fn rebuild(&self, config: &Config) -> Result<Arc<dyn Transport>, rustls::Error> {
        Ok(Arc::new(Self::new(config)?))
    }
}
