//! Reads how the metadata server of a virtual machine is asked for a token.

use crate::config::metadata::{AzureImdsConfig, GceMetadataConfig};
use crate::config::settings;
use crate::config::sources::Sources;

/// In AWS' own instructions.
const STS_AUDIENCE: &str = "sts.amazonaws.com";

pub(super) fn azure(sources: &mut Sources<'_>) -> Option<AzureImdsConfig> {
    let endpoint = sources.read(&settings::AZURE_IMDS_ENDPOINT);
    let client_id = sources.read_optional(&settings::AZURE_CLIENT_ID);
    let audience = sources.read_required(
        &settings::TOKEN_AUDIENCE,
        "the App ID URI of the application that represents AWS, for example api://amp",
    );
    Some(AzureImdsConfig {
        endpoint: endpoint?,
        audience: audience?,
        client_id: client_id?,
    })
}

pub(super) fn google(sources: &mut Sources<'_>) -> Option<GceMetadataConfig> {
    let host = sources.read(&settings::GCE_METADATA_HOST);
    let audience = sources.read_optional(&settings::TOKEN_AUDIENCE);
    Some(GceMetadataConfig {
        host: host?,
        audience: audience?.unwrap_or_else(|| STS_AUDIENCE.to_owned()),
    })
}
