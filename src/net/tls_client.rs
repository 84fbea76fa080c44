//! A general HTTP client that trusts what is trusted now.
//!
//! In: a [`Trust`] and how a client is built. Out: an [`HttpClient`] that gives a client by the present state of it. reqwest takes
//! its TLS configuration once and for all, so that a client is built anew after each change, and only then.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;

use crate::net::tls::Trust;

/// How a client is built, but for what it trusts.
type Build = Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>;

/// Gives clients that trust what is trusted now.
pub struct HttpClient {
    trust: Trust,
    build: Build,
    built: ArcSwap<Built>,
}

struct Built {
    tls: Arc<ClientConfig>,
    client: reqwest::Client,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

// === impl HttpClient ===

impl HttpClient {
    /// Clients that are built by `build`.
    ///
    /// # Errors
    /// Where none can be built.
    pub fn new(
        trust: &Trust,
        build: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> reqwest::Result<Self> {
        let built = Built::by(&build, trust.client())?;
        Ok(Self {
            trust: trust.clone(),
            build: Box::new(build),
            built: ArcSwap::from_pointee(built),
        })
    }

    /// The client for the next request.
    #[must_use]
    pub fn get(&self) -> reqwest::Client {
        let (built, tls) = (self.built.load_full(), self.trust.client());
        if Arc::ptr_eq(&built.tls, &tls) {
            return built.client.clone();
        }
        match Built::by(&self.build, tls) {
            Ok(new) => {
                let client = new.client.clone();
                self.built.store(Arc::new(new));
                client
            }
            // The same was built before with other roots; it is tried again with the next request.
            Err(error) => {
                tracing::warn!(%error, "an HTTP client was not rebuilt, keeping the previous one");
                built.client.clone()
            }
        }
    }
}

impl Built {
    fn by(
        build: &dyn Fn() -> reqwest::ClientBuilder,
        tls: Arc<ClientConfig>,
    ) -> reqwest::Result<Self> {
        let client = build()
            .tls_backend_preconfigured(ClientConfig::clone(&tls))
            .build()?;
        Ok(Self { tls, client })
    }
}
