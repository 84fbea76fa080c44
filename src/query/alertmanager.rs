//! The closed list of Alertmanager APIs.
//!
//! In: the part of a request path after `/alertmanager/api/v2/`. Out: an [`AlertmanagerApi`], or nothing. Creating an alert
//! (`POST alerts`) is not listed: rules do that. Anything but GET is a change, which needs `--allow-alertmanager silence`.
//!
//! | path | methods | IAM action |
//! |---|---|---|
//! | `status` | GET | `aps:GetAlertManagerStatus` |
//! | `receivers` | GET | `aps:ListAlertManagerReceivers` |
//! | `alerts` | GET | `aps:ListAlertManagerAlerts` |
//! | `alerts/groups` | GET | `aps:ListAlertManagerAlertGroups` |
//! | `silences` | GET, POST | `aps:ListAlertManagerSilences`, `aps:PutAlertManagerSilences` |
//! | `silence/<id>` | GET, DELETE | `aps:GetAlertManagerSilence`, `aps:DeleteAlertManagerSilence` |

use std::fmt;

use hyper::Method;

/// An API of Alertmanager that AMP has too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertmanagerApi {
    /// Version and configuration.
    Status,
    /// Names of the receivers.
    Receivers,
    Alerts,
    AlertGroups,
    Silences,
    /// One silence.
    Silence(SilenceId),
}

/// A UUID in the usual form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceId(String);

// === impl AlertmanagerApi ===

impl AlertmanagerApi {
    /// The API at this path below `/alertmanager/api/v2/`.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Some(match path {
            "status" => Self::Status,
            "receivers" => Self::Receivers,
            "alerts" => Self::Alerts,
            "alerts/groups" => Self::AlertGroups,
            "silences" => Self::Silences,
            _ => Self::Silence(SilenceId::of(path.strip_prefix("silence/")?)?),
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Status => "alertmanager_status",
            Self::Receivers => "alertmanager_receivers",
            Self::Alerts => "alertmanager_alerts",
            Self::AlertGroups => "alertmanager_alert_groups",
            Self::Silences => "alertmanager_silences",
            Self::Silence(_) => "alertmanager_silence",
        }
    }

    pub(super) fn action(&self, method: &Method) -> &'static str {
        match self {
            Self::Status => "aps:GetAlertManagerStatus",
            Self::Receivers => "aps:ListAlertManagerReceivers",
            Self::Alerts => "aps:ListAlertManagerAlerts",
            Self::AlertGroups => "aps:ListAlertManagerAlertGroups",
            Self::Silences if *method == Method::POST => "aps:PutAlertManagerSilences",
            Self::Silences => "aps:ListAlertManagerSilences",
            Self::Silence(_) if *method == Method::DELETE => "aps:DeleteAlertManagerSilence",
            Self::Silence(_) => "aps:GetAlertManagerSilence",
        }
    }

    /// The IAM actions of all that changes something, or of all that does not.
    pub(crate) fn actions(changing: bool) -> impl Iterator<Item = &'static str> {
        let all = [
            Self::Status,
            Self::Receivers,
            Self::Alerts,
            Self::AlertGroups,
            Self::Silences,
            Self::Silence(SilenceId(String::new())),
        ];
        all.into_iter().flat_map(move |api| {
            let methods = api.methods().iter();
            let methods = methods.filter(move |method| (**method != Method::GET) == changing);
            methods.map(move |method| api.action(method))
        })
    }

    pub(super) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Status | Self::Receivers | Self::Alerts | Self::AlertGroups => &[Method::GET],
            Self::Silences => &[Method::GET, Method::POST],
            Self::Silence(_) => &[Method::GET, Method::DELETE],
        }
    }
}

/// AMP's path, below `/alertmanager/api/v2/`.
impl fmt::Display for AlertmanagerApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Receivers => f.write_str("receivers"),
            Self::Alerts => f.write_str("alerts"),
            Self::AlertGroups => f.write_str("alerts/groups"),
            Self::Silences => f.write_str("silences"),
            Self::Silence(SilenceId(id)) => write!(f, "silence/{id}"),
        }
    }
}

// === impl SilenceId ===

impl SilenceId {
    fn of(text: &str) -> Option<Self> {
        let lengths = text.split('-').map(str::len);
        let plain = |b: u8| b.is_ascii_hexdigit() || b == b'-';
        let is_id = lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(plain);
        is_id.then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_closed() {
        for path in [
            "status",
            "receivers",
            "alerts",
            "alerts/groups",
            "silences",
            "silence/d29d9df3-9125-4441-912c-70b05f86f973",
        ] {
            assert_eq!(AlertmanagerApi::at(path).unwrap().to_string(), path);
        }
        for path in [
            "",
            "status/",
            "Status",
            "alerts/group",
            "silence",
            "silence/",
            "silence/..",
            "silence/d29d9df3-9125-4441-912c-70b05f86f973/",
            "silence/d29d9df3-9125-4441-912c-70b05f86f97",
            "silence/d29d9df3-9125-4441-912c-70b05f86f97%2f",
            "silence/d29d9df3912544-41-912c-70b05f86f973",
            "silences/d29d9df3-9125-4441-912c-70b05f86f973",
            "config",
        ] {
            assert_eq!(AlertmanagerApi::at(path), None, "{path:?}");
        }
    }
}
