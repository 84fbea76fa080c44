//! How the metadata server of a virtual machine is asked for a token.

use hyper::Uri;

/// Azure's: an access token for a managed identity of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureImdsConfig {
    /// `http://169.254.169.254/`, or a stand-in for it.
    pub endpoint: Uri,
    /// The App ID URI of the application that represents AWS.
    pub audience: String,
    /// The identity, where the machine has several.
    pub client_id: Option<String>,
}

/// Google's: an identity token for the service account of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GceMetadataConfig {
    /// The server's host, with its port if need be.
    pub host: String,
    /// The token's `aud`.
    pub audience: String,
}

// === impl GceMetadataConfig ===

impl GceMetadataConfig {
    /// The server's URL. A validated host always makes one.
    pub(crate) fn endpoint(&self) -> Uri {
        let url = format!("http://{}/", self.host);
        url.parse().unwrap_or_default()
    }
}
