//! Workspaces that senders name, where none is configured.
//!
//! In: the [`Sources`]. Out: a [`WorkspacesByPath`], which makes a valid [`Workspace`] of an id. Only the id comes from a request:
//! host, region and role are the configured ones, so a sender can name another workspace and nothing else. Without
//! `--any-workspace` none is served. The sidecar starts nevertheless if AMP's host is named, as the arguments of aws-sigv4-proxy
//! do, so that the first sender's response and the log can say what to set.

use hyper::Uri;

use super::model::{Alertmanager, IdentityConfig, Origins, Workspace, WorkspacesByPath};
use super::settings;
use super::sources::Sources;
use super::workspace::{self, WorkspaceId};
use super::{endpoints, values};

/// `Some(None)` if workspaces are configured, or have to be.
pub(super) fn read(sources: &mut Sources<'_>) -> Option<Option<(WorkspacesByPath, Origins)>> {
    let Some(allowed) = sources.read(&settings::ANY_WORKSPACE) else {
        return Some(None);
    };
    let configured = sources.is_set(&settings::WORKSPACE_ID)
        || sources.is_set(&settings::REMOTE_WRITE_URL)
        || !sources.file.workspaces.is_empty();
    if configured && allowed {
        let expected =
            "no value, or no configured workspace: the configured ones are the only ones served";
        sources.error(&settings::ANY_WORKSPACE, expected);
    }
    if configured || !allowed && !sources.names_host {
        return Some(None);
    }
    if !allowed {
        let words = "not set: until it is the workspace in the senders' URL, they get 503 and retry; --any-workspace serves each one that they name";
        sources.warn(&settings::WORKSPACE_ID, words);
    }
    let (template, origins) = workspace::read(sources, WorkspaceId::ByPath)?;
    if allowed && let Some(query) = &template.query {
        let unless = "or a configured workspace: those that senders name are not read";
        if query.prometheus {
            sources.error(&settings::ALLOW_QUERY, &format!("false, {unless}"));
        }
        if query.alertmanager != Alertmanager::Off {
            sources.error(&settings::ALLOW_ALERTMANAGER, &format!("off, {unless}"));
        }
    }
    Some(Some((WorkspacesByPath { allowed, template }, origins)))
}

// === impl WorkspacesByPath ===

impl WorkspacesByPath {
    /// The workspace of this id; `None` if it is no id.
    #[must_use]
    pub fn workspace(&self, id: &str) -> Option<Workspace> {
        let id = values::workspace_id(id).ok()?;
        let base = self.endpoint()?;
        Some(Workspace {
            name: id.clone(),
            remote_write_url: endpoints::of_workspace(&base, &id)?,
            id,
            ..self.template.clone()
        })
    }

    /// The base URL of AMP.
    pub(super) fn endpoint(&self) -> Option<Uri> {
        endpoints::base(&self.template.remote_write_url, &self.template.id)
    }

    /// How credentials are obtained for each of them.
    pub(crate) fn identity(&self) -> &IdentityConfig {
        &self.template.identity
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::config::tests::{MINIMAL, read, read_file};
    use crate::config::{Config, Environment, ForeignArguments, InvalidConfig};

    const ANY: (&str, &str) = ("any-workspace", "true");

    fn without_workspace() -> Vec<(&'static str, &'static str)> {
        let own = |(name, _): &&(&str, &str)| *name != "AMP_SIDECAR_WORKSPACE_ID";
        MINIMAL.iter().filter(own).copied().collect()
    }

    fn read_with_host(flags: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
        let env: HashMap<&str, &str> = without_workspace().into_iter().collect();
        let variable = |name: &str| env.get(name).map(|value| (*value).to_owned());
        let around = Environment::of(&variable);
        let flags: HashMap<&str, &str> = flags.iter().copied().collect();
        let flag = |flag: &str| flags.get(flag).map(|value| (*value).to_owned());
        let foreign = ForeignArguments {
            names_host: true,
            ..ForeignArguments::default()
        };
        Config::read_beside(&|setting| flag(setting.flag), &around, &foreign)
    }

    #[test]
    fn a_request_gives_the_id_and_nothing_else() {
        let endpoint = ("amp-endpoint", "https://vpce-1.example/amp/");
        for (flags, base) in [
            (
                vec![ANY],
                "https://aps-workspaces.eu-central-1.amazonaws.com",
            ),
            (vec![ANY, endpoint], "https://vpce-1.example/amp"),
        ] {
            let config = read(&flags, &without_workspace()).unwrap();
            assert!(config.workspaces.is_empty());
            let by_path = config.by_path.as_ref().unwrap();
            assert!(by_path.allowed);
            let one = by_path.workspace("ws-0b1c").unwrap();
            assert_eq!((one.id.as_str(), one.name.as_str()), ("ws-0b1c", "ws-0b1c"));
            assert_eq!(
                one.remote_write_url.to_string(),
                format!("{base}/workspaces/ws-0b1c/api/v1/remote_write")
            );
            assert_eq!(one.limits.max_inflight_bytes, 8 << 20);
            for id in [
                "", "ws-", "0b1c", "ws-a/b", "ws-..", "ws-a%2f", "ws-a?b", "ws-a@b", "ws-a b",
            ] {
                assert_eq!(by_path.workspace(id), None, "{id}");
            }
            // What is printed gives the same again.
            let printed = config.to_string();
            let again = read_file(&printed, &[]).unwrap();
            assert_eq!(again.by_path, config.by_path, "{printed}");
            assert_eq!(again.to_string(), printed);
        }
    }

    #[test]
    fn only_the_arguments_of_another_program_allow_to_start_with_none() {
        let config = read_with_host(&[]).unwrap();
        assert!(!config.by_path.unwrap().allowed);
        let [warning] = &config.warnings[..] else {
            panic!("{:?}", config.warnings)
        };
        assert!(warning.starts_with("--workspace-id (AMP_SIDECAR_WORKSPACE_ID): not set: "));
        let config = read_with_host(&[("workspace-id", "ws-1")]).unwrap();
        assert_eq!((config.workspaces.len(), config.by_path), (1, None));
        assert!(read_with_host(&[ANY]).unwrap().by_path.unwrap().allowed);

        let error = read(&[], &without_workspace()).unwrap_err().to_string();
        assert!(error.starts_with("--workspace-id"), "{error}");
    }

    #[test]
    fn any_workspace_is_refused_where_it_would_open_too_much_or_mean_nothing() {
        let error = |flags: &[(&str, &str)]| {
            let flags = [&[ANY], flags].concat();
            read(&flags, &without_workspace()).unwrap_err().to_string()
        };
        for (flags, setting, words) in [
            (
                &[("workspace-id", "ws-1")][..],
                "--any-workspace",
                "no configured workspace",
            ),
            (
                &[("listen", "0.0.0.0:8005"), ("allow-non-loopback", "true")],
                "--any-workspace",
                "authenticate",
            ),
            (&[("allow-query", "true")], "--allow-query", "not read"),
            (
                &[("allow-alertmanager", "read")],
                "--allow-alertmanager",
                "not read",
            ),
            (
                &[("amp-endpoint", "https://a.example/workspaces/ws-1")],
                "--amp-endpoint",
                "base URL",
            ),
        ] {
            let error = error(flags);
            assert!(
                error.starts_with(setting) && error.contains(words),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let file = "any_workspace: true\nrole_arn: arn:aws:iam::111122223333:role/amp\nregion: eu-central-1\n\
                    web_identity_token_file: /t\nworkspaces:\n  - workspace_id: ws-1\n";
        let error = read_file(file, &[]).unwrap_err().to_string();
        assert!(
            error.starts_with("any_workspace (config.yaml, line 1)"),
            "{error}"
        );
    }
}
