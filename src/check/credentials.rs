//! Credentials that their source gives as they are: a container's endpoint, a credentials file, static keys.

use super::step::StepOutcome;
use crate::aws_keys::AwsKeys;
use crate::clock::Clock;
use crate::config::{ContainerConfig, ProfileConfig};
use crate::credentials::container::Container;
use crate::credentials::profile::Profile;
use crate::credentials::sts::SessionCredentials;
use crate::remedies::credentials_file::STATIC_KEYS;

/// What a step gives.
type Given = (StepOutcome, Option<SessionCredentials>);

/// Asks the endpoint.
pub(super) async fn container(
    source: &Container,
    config: &ContainerConfig,
    clock: &Clock,
) -> Given {
    match source.obtain().await {
        Ok(obtained) => {
            let left = obtained
                .expires
                .and_then(|expires| expires.duration_since(clock.now()).ok());
            let evidence = format!(
                "{} gave keys with the ID {}, valid for {} s",
                config.endpoint,
                obtained.credentials.access_key_id(),
                left.unwrap_or_default().as_secs()
            );
            (StepOutcome::ok(evidence), Some(obtained))
        }
        Err(error) => (
            StepOutcome::broken(error.to_string()).advise(&error.remedy()),
            None,
        ),
    }
}

/// Reads the file.
pub(super) async fn profile(source: &Profile, config: &ProfileConfig) -> Given {
    match source.obtain().await {
        Ok(obtained) => {
            let evidence = format!(
                "{} has keys with the ID {} in its profile [{}]",
                config.file.display(),
                obtained.credentials.access_key_id(),
                config.profile
            );
            (StepOutcome::ok(evidence), Some(obtained))
        }
        Err(error) => (
            StepOutcome::broken(error.to_string()).advise(&error.remedy()),
            None,
        ),
    }
}

/// Takes them.
pub(super) fn static_keys(keys: &AwsKeys) -> Given {
    let evidence = format!(
        "the environment has keys with the ID {}",
        keys.access_key_id()
    );
    let warned = StepOutcome::warning(evidence).remedy(STATIC_KEYS);
    (
        warned,
        Some(SessionCredentials::without_expiry(keys, "static keys")),
    )
}
