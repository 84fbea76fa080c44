//! Parses and validates every setting of the program.
//!
//! In: the command line's flags, the [`Environment`] (variables, the cgroup's memory limit, whether stdout is a terminal) and the
//! YAML file that they may name. Out: a [`Config`] with nothing left to check, or an [`InvalidConfig`] that names *all* errors at
//! once, each with its setting, where it was set, and what would be valid.
//!
//! Each file imports only from those above it:
//!
//! ```text
//! error     errors, redaction
//! model     Config and its parts, data alone
//! values    text into values, and back
//! network   the proxy and its exceptions
//! container  the endpoint for a container's credentials
//! settings  one row for each setting
//! suggest   what a misspelt name was meant to be
//! other_credentials  what other programs would use
//! yaml      the YAML of small files
//! file      the form of the configuration file, its schema
//! sources   where the text of a setting comes from
//! endpoints the URLs of AMP and STS
//! workspace one workspace
//! by_path   workspaces that senders name
//! loader    the whole
//! effective the whole as text again
//! ```

mod by_path;
mod container;
mod effective;
mod endpoints;
mod error;
mod file;
mod loader;
mod metadata;
mod model;
mod network;
mod other_credentials;
mod settings;
mod source_kind;
mod sources;
mod suggest;
mod values;
mod workspace;
pub(crate) mod yaml;

pub use container::{ContainerConfig, ContainerToken};
pub(crate) use effective::{EffectiveSection, EffectiveSetting, SettingValue};
pub(crate) use endpoints::partition_id;
pub(crate) use error::{Expected, checked, expected, redact};
pub use error::{InvalidConfig, SettingError};
pub use file::schema;
pub use metadata::{AzureImdsConfig, GceMetadataConfig};
pub use model::{
    Alertmanager, BatchLimits, Config, Drain, EntraConfig, Environment, ForeignArguments,
    IdentityConfig, Inspect, Log, LogFormat, ProfileConfig, QueryConfig, RoleSession,
    RolesAnywhereConfig, Sampling, SourceConfig, SpanQueue, TokenConfig, Tracing,
    WebIdentityConfig, Workspace, WorkspacesByPath,
};
pub(crate) use network::needs_no_proxy;
pub use network::{Network, Proxy};
pub use settings::{ALL, ESSENTIAL, Group, Setting};
pub use values::CpuShare;
pub(crate) use values::identity::{is_guid, made_of};
pub(crate) use values::{duration, is_loopback, region, workspace_id};

#[cfg(test)]
mod docs;
#[cfg(test)]
mod tests;
