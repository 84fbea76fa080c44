//! Where the URL of a `remote_write` entry leads.
//!
//! In: the URL's text, and the configuration. Out: a [`WriteTarget`]. Paths are matched by the router's own rules.

use hyper::Uri;

use crate::config::{Config, Workspace, is_loopback};
use crate::remedies::Remedy;
use crate::remedies::first_hour::{
    PROMETHEUS_PATH, PROMETHEUS_PORT, PROMETHEUS_SCHEME, PROMETHEUS_URL,
};
use crate::router::RequestedWorkspace;

/// Where a URL leads.
pub(super) enum WriteTarget<'a> {
    /// To a workspace of this sidecar.
    Workspace(&'a Workspace, Uri),
    /// To nothing that could be written to: what is wrong, and its remedy.
    Wrong(String, Remedy),
    /// To AMP, and to which configured workspace there.
    Amp(Option<&'a Workspace>),
    /// To a served path on another port of this host.
    OtherPort(u16),
    /// To another host or service.
    Elsewhere,
}

// === impl WriteTarget ===

impl<'a> WriteTarget<'a> {
    pub(super) fn of(text: &str, config: &'a Config) -> Self {
        if text.is_empty() {
            return Self::Wrong("url is missing".to_owned(), PROMETHEUS_URL);
        }
        let Some((given, _)) = text.split_once("://") else {
            return match Self::of(&format!("{}://{text}", config.scheme()), config) {
                Self::Workspace(..) | Self::Wrong(..) => {
                    let what = "url has no scheme: Prometheus cannot send to it".to_owned();
                    Self::Wrong(what, PROMETHEUS_URL)
                }
                other => other,
            };
        };
        let Ok(url) = text.parse::<Uri>() else {
            return Self::Wrong("url is not valid".to_owned(), PROMETHEUS_URL);
        };
        let host = url.host().unwrap_or_default();
        let port = url.port_u16();
        let port = port.unwrap_or(if given.eq_ignore_ascii_case("https") {
            443
        } else {
            80
        });
        if host.contains("aps-workspaces") {
            let named = |workspace: &&Workspace| url.path().contains(&workspace.id);
            return Self::Amp(config.workspaces.iter().find(named));
        }
        let ip = config.listen.ip();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let same_host = bare == ip.to_string() || (ip.is_loopback() && is_loopback(host));
        // On all addresses, it may have any name.
        if !same_host && !ip.is_unspecified() {
            return Self::Elsewhere;
        }
        if port == config.listen.port() {
            return Self::here(url, config);
        }
        if port == config.admin_listen.port() {
            let what = format!("port {port} is the admin port, which stores nothing");
            return Self::Wrong(what, PROMETHEUS_PORT);
        }
        if is_loopback(host) && RequestedWorkspace::by(url.path()).is_some() {
            return Self::OtherPort(port);
        }
        Self::Elsewhere
    }

    fn here(url: Uri, config: &'a Config) -> Self {
        let (given, served) = (url.scheme_str().unwrap_or_default(), config.scheme());
        if given != served {
            let what = format!("the url is {given}, but the sidecar serves {served} there");
            return Self::Wrong(what, PROMETHEUS_SCHEME);
        }
        match workspace(&url, config) {
            Ok(workspace) => Self::Workspace(workspace, url),
            Err(why) => {
                let what = format!("the path {} is not served{why}", url.path());
                Self::Wrong(what, PROMETHEUS_PATH)
            }
        }
    }

    pub(super) fn is_here(&self) -> bool {
        matches!(self, Self::Workspace(..) | Self::Wrong(..))
    }
}

fn workspace<'a>(url: &Uri, config: &'a Config) -> Result<&'a Workspace, String> {
    let workspaces = config.workspaces.as_slice();
    match (RequestedWorkspace::by(url.path()), workspaces) {
        (Some(RequestedWorkspace::TheOnly), [only]) => Ok(only),
        (Some(RequestedWorkspace::TheOnly), _) => {
            Err(": several workspaces are configured, and it names none".to_owned())
        }
        (Some(RequestedWorkspace::Named(key)), _) => workspaces
            .iter()
            .find(|workspace| workspace.name == key || workspace.id == key)
            .ok_or_else(|| ": it names no configured workspace".to_owned()),
        (None, _) => Err(String::new()),
    }
}
