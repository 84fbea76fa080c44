//! Reads where batches go and where credentials come from.
//!
//! In: the [`Reader`], and of `endpoints` which hosts there are. Out: the workspace's URL and STS', or the faults. A whole URL beats
//! a base URL for the service, that beats one for both, and without any it is AWS' own host for the region.

use hyper::Uri;

use super::endpoints::{self, Misfit, Service, Variant};
use super::values;
use super::{Setting, settings};
use crate::config::loader::Reader;

/// What stands before a workspace's id in a path.
const WORKSPACES: &str = "/workspaces/";
/// And after it, where it is written to.
const WRITE: &str = "/api/v1/remote_write";

/// Where batches go.
pub(super) struct Target {
    pub(super) id: String,
    pub(super) remote_write_url: Uri,
}

/// A URL that was given, and by what.
pub(super) struct Given {
    setting: &'static Setting,
    /// `None` where it is no URL, which was noted.
    url: Option<Uri>,
}

impl Reader<'_> {
    /// What was said about AMP's host.
    pub(super) fn given_amp(&mut self) -> Option<Given> {
        self.first_given(&[
            &settings::REMOTE_WRITE_URL,
            &settings::AMP_ENDPOINT,
            &settings::ENDPOINT_URL,
        ])
    }

    /// The region that was named, else the one that a given host of AWS shows.
    pub(super) fn region(&mut self, given: Option<&Given>) -> Option<String> {
        let region = self.parse_given(&settings::REGION, values::region);
        if self.given(&settings::REGION).is_some() {
            return Some(self.overruled(region?, given));
        }
        let Some(given) = given else {
            let expected = "the workspace's region, or --remote-write-url";
            self.fault(&settings::REGION, expected);
            return None;
        };
        let shown = Service::Amp.shown(given.url.as_ref()?.host()?);
        if let Some(shown) = shown.filter(|shown| !shown.private_link) {
            return Some(shown.region.to_owned());
        }
        let flag = given.setting.flag;
        let expected = format!("the workspace's region, which this --{flag} does not show");
        self.fault(&settings::REGION, &expected);
        None
    }

    /// `AWS_REGION` is injected by platforms, which know where the pod is and not where the workspace is: a URL that shows
    /// another region wins. A flag or a line of the file that contradicts the URL stays, and is a fault.
    fn overruled(&mut self, named: String, given: Option<&Given>) -> String {
        let Some((given, url)) = given.and_then(|given| Some((given, given.url.as_ref()?))) else {
            return named;
        };
        let shown = url.host().and_then(|host| Service::Amp.shown(host));
        let shown = shown.map(|shown| shown.region.to_owned());
        match shown.filter(|shown| *shown != named && self.is_from_variable(&settings::REGION)) {
            None => named,
            Some(shown) => {
                let url = self.origin(given.setting).unwrap_or_default();
                let words = format!(
                    "it is {named}, but the host of {url} is in {shown}, which is signed for; set it to {shown}, or give --region {shown}"
                );
                self.warn(&settings::REGION, &words);
                self.regions_of_urls.push(self.entry);
                shown
            }
        }
    }

    /// The workspace's address.
    pub(super) fn target(&mut self, given: Option<Given>, region: Option<&str>) -> Option<Target> {
        let id = self.parse_given(&settings::WORKSPACE_ID, values::workspace_id);
        let variant = self.variant();
        let whole = matches!(&given, Some(given) if *given.setting == settings::REMOTE_WRITE_URL);
        let id = match given.as_ref().and_then(|given| given.url.as_ref()) {
            Some(url) if whole => self.id_in_path(url, id),
            None if whole => None,
            _ => {
                if self.given(&settings::WORKSPACE_ID).is_none() {
                    let expected = "the workspace's id, or --remote-write-url";
                    self.fault(&settings::WORKSPACE_ID, expected);
                }
                id
            }
        };
        let doubled = match &given {
            Some(given) if !whole => self.names_a_workspace(given),
            _ => false,
        };
        let base = self.host(Service::Amp, given, region?, variant?)?;
        let id = id.filter(|_| !doubled)?;
        let remote_write_url = if whole {
            base
        } else {
            let base = base.to_string();
            let base = base.trim_end_matches('/');
            format!("{base}{WORKSPACES}{id}{WRITE}").parse().ok()?
        };
        Some(Target {
            id,
            remote_write_url,
        })
    }

    /// STS' address, and the region that it is in; `region` is the workspace's.
    pub(super) fn sts(&mut self, region: Option<&str>) -> Option<(Uri, String)> {
        let named = self.parse_given(&settings::STS_REGION, values::region);
        let given = self.first_given(&[&settings::STS_ENDPOINT, &settings::ENDPOINT_URL]);
        if self.given(&settings::STS_REGION).is_some() && named.is_none() {
            return None;
        }
        let host = given.as_ref().and_then(|given| given.url.as_ref()?.host());
        let shown = host.and_then(|host| Service::Sts.shown(host));
        let sts_region = named
            .or_else(|| shown.map(|shown| shown.region.to_owned()))
            .or_else(|| region.map(str::to_owned))?;
        if let Some(region) = region {
            let role_arn = self.given(&settings::ROLE_ARN);
            let role_arn = role_arn.filter(|arn| values::role_arn(arn).is_ok());
            let misfits = endpoints::one_partition(region, &sts_region, role_arn.as_deref());
            self.note_all(misfits);
        }
        let variant = self.variant()?;
        let url = self.host(Service::Sts, given, &sts_region, variant)?;
        Some((url, sts_region))
    }

    /// The URL that was given and contradicts nothing, else AWS' own host.
    fn host(
        &mut self,
        service: Service,
        given: Option<Given>,
        region: &str,
        variant: Variant,
    ) -> Option<Uri> {
        if let Some(Given { setting, url }) = given {
            let url = url?;
            let host = url.host().unwrap_or_default();
            self.note_all(service.contradictions(setting, host, region, variant));
            return Some(url);
        }
        match service.host(region, variant) {
            Ok(host) => format!("https://{host}/").parse().ok(),
            Err(misfit) => {
                self.note_all([misfit]);
                None
            }
        }
    }

    /// The first of the settings that was given.
    fn first_given(&mut self, settings: &[&'static Setting]) -> Option<Given> {
        let mut settings = settings.iter();
        let setting = *settings.find(|setting| self.given(setting).is_some())?;
        let url = self.parse_given(setting, values::endpoint);
        Some(Given { setting, url })
    }

    /// Whether a base URL has the path of a workspace already, which would be added once more: it is what Terraform calls a
    /// workspace's `prometheus_endpoint`.
    fn names_a_workspace(&mut self, given: &Given) -> bool {
        let Some(url) = &given.url else { return false };
        let text = url.to_string();
        let Some((base, rest)) = text.split_once(WORKSPACES) else {
            return false;
        };
        let id = rest.split('/').next().unwrap_or_default();
        let expected = format!(
            "the base URL alone, {base}; or the workspace's whole URL as --remote-write-url: {base}{WORKSPACES}{id}{WRITE}"
        );
        self.fault(given.setting, &expected);
        true
    }

    /// The workspace that stands in the URL's path, which must be the one that was named.
    fn id_in_path(&mut self, url: &Uri, id: Option<String>) -> Option<String> {
        let rest = url.path().strip_prefix(WORKSPACES);
        let in_path = rest.and_then(|rest| rest.strip_suffix(WRITE));
        let Some(in_path) = in_path.and_then(|id| values::workspace_id(id).ok()) else {
            let expected = match rest.map(|rest| rest.trim_end_matches('/')) {
                Some(id) if values::workspace_id(id).is_ok() => {
                    let url = url.to_string();
                    format!(
                        "what is written to below the workspace: {}{WRITE}",
                        url.trim_end_matches('/')
                    )
                }
                _ => format!("a path {WORKSPACES}<id>{WRITE}, without a slash at its end"),
            };
            self.fault(&settings::REMOTE_WRITE_URL, &expected);
            return None;
        };
        if id.is_some_and(|id| id != in_path) {
            self.fault(
                &settings::WORKSPACE_ID,
                &format!("the workspace of --remote-write-url, {in_path}, or none"),
            );
        }
        Some(in_path)
    }

    fn variant(&mut self) -> Option<Variant> {
        let fips = self.parse(&settings::USE_FIPS_ENDPOINT, values::switch);
        let dual_stack = self.parse(&settings::USE_DUALSTACK_ENDPOINT, values::switch);
        Some(Variant {
            fips: fips?,
            dual_stack: dual_stack?,
        })
    }

    fn note_all(&mut self, misfits: impl IntoIterator<Item = Misfit>) {
        for misfit in misfits {
            self.fault(misfit.setting, &misfit.expected);
        }
    }
}
