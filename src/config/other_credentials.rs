//! AWS credentials in the environment that the sidecar does not use.
//!
//! In: the environment. Out: the kinds of credentials found, by the names of their variables; never a value. The AWS SDKs would use them, so those
//! who set them expect the sidecar to do so too: it signs with its role alone.

/// Each kind, with its variables.
const KINDS: [(&str, &[&str]); 4] = [
    (
        "static keys",
        &[
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ],
    ),
    (
        "the credentials of a profile",
        &[
            "AWS_PROFILE",
            "AWS_DEFAULT_PROFILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_CONFIG_FILE",
        ],
    ),
    (
        "the credentials of EKS Pod Identity or ECS",
        &[
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        ],
    ),
    (
        "the credentials of instance metadata or Roles Anywhere",
        &["AWS_EC2_METADATA_SERVICE_ENDPOINT"],
    ),
];

/// Each kind that is set, and the first of its variables.
pub(super) fn found(
    env: &dyn Fn(&str) -> Option<String>,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let is_set = |name: &str| env(name).is_some_and(|value| !value.trim().is_empty());
    KINDS.into_iter().filter_map(move |(kind, variables)| {
        let variable = variables.iter().find(|name| is_set(name))?;
        Some((kind, *variable))
    })
}
