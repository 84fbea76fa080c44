//! AWS credentials in the environment beside those of the configured source.
//!
//! In: the environment, and the source. Out: the kinds of other credentials found, by the names of their variables; never a value. The AWS SDKs
//! would try one after the other, so those who set them expect the sidecar to do so too: it asks its source alone.

/// A kind of credentials that the environment may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindOfCredentials {
    StaticKeys,
    Profile,
    Container,
    WebIdentity,
    RolesAnywhere,
    Metadata,
}

/// Credentials that are not used.
pub(super) struct Unused {
    /// What they are, in the plural.
    pub(super) words: &'static str,
    /// The first of their variables that is set.
    pub(super) variable: &'static str,
    /// The settings that would use them; empty if none does.
    pub(super) settings: &'static str,
}

/// Each kind with its words, the settings that use it, and its variables.
const KINDS: [(KindOfCredentials, &str, &str, &[&str]); 5] = [
    (
        KindOfCredentials::StaticKeys,
        "static keys",
        "--credentials file --allow-static-keys",
        &[
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ],
    ),
    (
        KindOfCredentials::Profile,
        "the credentials of a profile",
        "--credentials file",
        &[
            "AWS_PROFILE",
            "AWS_DEFAULT_PROFILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_CONFIG_FILE",
        ],
    ),
    (
        KindOfCredentials::Container,
        "the credentials of EKS Pod Identity or ECS",
        "--credentials container",
        &[
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        ],
    ),
    (
        KindOfCredentials::WebIdentity,
        "the credentials of a web identity",
        "--credentials web-identity",
        &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"],
    ),
    (
        KindOfCredentials::Metadata,
        "the credentials of instance metadata or Roles Anywhere",
        "",
        &["AWS_EC2_METADATA_SERVICE_ENDPOINT"],
    ),
];

/// Each kind that is set, except the one that is used.
pub(super) fn found(
    env: &dyn Fn(&str) -> Option<String>,
    used: KindOfCredentials,
) -> impl Iterator<Item = Unused> {
    let is_set = |name: &str| env(name).is_some_and(|value| !value.trim().is_empty());
    let others = KINDS.into_iter().filter(move |(kind, ..)| *kind != used);
    others.filter_map(move |(_, words, settings, variables)| {
        // A certificate leads to a role, too.
        let ours = |name: &str| used == KindOfCredentials::RolesAnywhere && name == "AWS_ROLE_ARN";
        let mut others = variables.iter().filter(|name| !ours(name));
        let variable = others.find(|name| is_set(name))?;
        Some(Unused {
            words,
            variable,
            settings,
        })
    })
}

// === impl Unused ===

impl Unused {
    /// With how to use them.
    pub(super) fn with_settings(&self) -> String {
        let Self {
            words,
            variable,
            settings,
        } = self;
        match *settings {
            "" => format!("{words} ({variable}, not supported)"),
            settings => format!("{words} ({variable}, with {settings})"),
        }
    }
}
