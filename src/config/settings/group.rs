//! The groups under which help and docs list the settings.

/// What a setting is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each says it in its heading")]
pub enum Group {
    AwsIdentity,
    Azure,
    RolesAnywhere,
    Network,
    Listening,
    Limits,
    Queries,
    Tracing,
    Logging,
    Process,
}

// === impl Group ===

impl Group {
    /// Its heading.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::AwsIdentity => "AWS identity",
            Self::Azure => "Azure",
            Self::RolesAnywhere => "IAM Roles Anywhere",
            Self::Network => "Endpoints and network",
            Self::Listening => "Listening",
            Self::Limits => "Limits",
            Self::Queries => "Queries",
            Self::Tracing => "Tracing",
            Self::Logging => "Logging",
            Self::Process => "Process",
        }
    }
}
