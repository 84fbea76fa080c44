//! Tokens of a virtual machine's own identity, from the metadata server of its cloud.
//!
//! In: what is configured for the cloud. Out: a [`Token`] for STS, or a [`MetadataError`] with its remedy. The server is asked over plain
//! http at a fixed address that never leaves the machine's host: directly, never through a proxy, and without following a redirect.
//! The configuration admits only these addresses and loopback, so that no setting can make this program fetch tokens from elsewhere.

mod azure;
mod error;
mod google;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Uri};

pub use error::{Cloud, MetadataError};

use super::token::Token;
use crate::config::{AzureImdsConfig, GceMetadataConfig};
use crate::net::client::{HttpClient, HttpResponse};

/// Asks the metadata server of one cloud.
#[derive(Debug)]
pub struct MetadataServer {
    cloud: Cloud,
    client: HttpClient,
    url: Uri,
    header: (HeaderName, HeaderValue),
}

// === impl MetadataServer ===

impl MetadataServer {
    /// Azure's, through `client`, which must use no proxy.
    #[must_use]
    pub fn azure(config: &AzureImdsConfig, client: HttpClient) -> Self {
        let url = url(&config.endpoint, azure::PATH, &azure::query(config));
        Self::new(Cloud::Azure, client, url, azure::HEADER)
    }

    /// Google's, through `client`, which must use no proxy.
    #[must_use]
    pub fn google(config: &GceMetadataConfig, client: HttpClient) -> Self {
        let url = url(&config.endpoint(), google::PATH, &google::query(config));
        Self::new(Cloud::Google, client, url, google::HEADER)
    }

    fn new(cloud: Cloud, client: HttpClient, url: Uri, header: (HeaderName, HeaderValue)) -> Self {
        Self {
            cloud,
            client,
            url,
            header,
        }
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// Asks for a token.
    pub async fn token(&self) -> Result<Token, MetadataError> {
        let headers = HeaderMap::from_iter([self.header.clone()]);
        let response = self.client.get_with(&self.url, headers).await;
        let response = response.map_err(|source| MetadataError::Silent {
            cloud: self.cloud,
            source,
        })?;
        read(self.cloud, &response)
    }
}

/// The token in the response of this cloud's server.
pub fn read(cloud: Cloud, response: &HttpResponse) -> Result<Token, MetadataError> {
    match cloud {
        Cloud::Azure => azure::read(response),
        Cloud::Google => google::read(response),
    }
}

/// A validated endpoint always makes a valid URL.
fn url(endpoint: &Uri, path: &str, query: &str) -> Uri {
    let base = endpoint.to_string();
    let url = format!("{}/{path}?{query}", base.trim_end_matches('/'));
    url.parse().unwrap_or_else(|_| endpoint.clone())
}

#[cfg(test)]
mod tests;
