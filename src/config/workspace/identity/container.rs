//! Reads the endpoint that gives a container its credentials, and what authorizes a request to it.
//!
//! The platform sets all of it: EKS a whole URL and a file, ECS a path. As in the SDKs the path and the file win.

use crate::config::container::{self, ContainerConfig, ContainerToken};
use crate::config::other_credentials::KindOfCredentials;
use crate::config::settings;
use crate::config::sources::Sources;

/// A variable alone: a flag can be read by every process of the machine.
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

pub(super) fn read(sources: &mut Sources<'_>) -> Option<ContainerConfig> {
    let (full, relative) = (
        &settings::CONTAINER_CREDENTIALS_FULL_URI,
        &settings::CONTAINER_CREDENTIALS_RELATIVE_URI,
    );
    let endpoint = if sources.is_set(relative) {
        if sources.is_set(full) {
            let words = "ignored: --container-credentials-relative-uri is set too, and wins as in AWS' SDKs";
            sources.warn(full, words);
        }
        sources.read_set(relative)
    } else {
        let expected = "the URL of the credentials endpoint, which EKS sets (AWS_CONTAINER_CREDENTIALS_FULL_URI) in pods that start after the association of their service account, and ECS (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI) in tasks with a role";
        sources.read_required(full, expected)
    };
    let authorization = authorization(sources);
    let signs = "the endpoint of --credentials container gives the credentials";
    sources.warn_of_others(KindOfCredentials::Container, signs);
    Some(ContainerConfig {
        endpoint: endpoint?,
        authorization: authorization?,
    })
}

/// `Some(None)` if nothing is set.
fn authorization(sources: &mut Sources<'_>) -> Option<Option<ContainerToken>> {
    let file = sources.read_optional(&settings::CONTAINER_AUTHORIZATION_TOKEN_FILE)?;
    let text = (sources.environment.env)(TOKEN).filter(|text| !text.trim().is_empty());
    match (file, text) {
        (Some(file), text) => {
            if text.is_some() {
                let words = "ignored: --container-authorization-token-file is set too, and wins as in AWS' SDKs";
                sources.warn_of_variable(TOKEN, words);
            }
            Some(Some(ContainerToken::File(file)))
        }
        (None, None) => Some(None),
        (None, Some(text)) => match container::authorization(&text) {
            Ok(value) => Some(Some(ContainerToken::Text(value))),
            Err(expected) => {
                sources.error_of_variable(TOKEN, &expected.0);
                None
            }
        },
    }
}
