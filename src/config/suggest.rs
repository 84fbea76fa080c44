//! Suggests a setting for a misspelt key or variable.
//!
//! An unknown variable that begins with `AMP_SIDECAR_` is a warning and not an error, since it may be meant for another program: Kubernetes sets some
//! in every pod when a Service's name begins with `amp-sidecar`.

use super::settings::ALL;
use crate::sanitize::sanitize;

const PREFIX: &str = "AMP_SIDECAR_";
/// The minimum similarity of a suggestion.
const ALIKE: f64 = 0.8;
/// The beginning of a name, from this length on, suggests it before all that are only similar.
const SHORTEST_PREFIX: usize = 4;

/// The likely key among those that are valid in the same place.
pub(super) fn key(text: &str, keys: impl Iterator<Item = String>) -> Option<String> {
    nearest(text, keys.map(|key| (key.clone(), key)))
}

/// A set variable that no setting reads and whose name is nearly one of `meant`.
pub(super) fn near_variable(meant: &[&'static str], set: &[String]) -> Option<String> {
    let plain = |name: &str| name.replace('_', "").to_ascii_uppercase();
    let read = |name: &str| ALL.iter().any(|setting| setting.env.contains(&name));
    set.iter().filter(|name| !read(name)).find_map(|name| {
        let near = |meant: &&&str| strsim::osa_distance(&plain(name), &plain(meant)) <= 2;
        let meant = meant.iter().find(near)?;
        Some(format!("{} is set: is {meant} meant?", sanitize(name)))
    })
}

/// A warning for each variable with our prefix that no setting reads.
pub(super) fn unknown_variables(names: &[String]) -> Vec<String> {
    let read = |name: &str| ALL.iter().any(|setting| setting.env.contains(&name));
    let mut unknown: Vec<&String> = names
        .iter()
        .filter(|name| name.starts_with(PREFIX) && !read(name) && !is_service_link(name))
        .collect();
    unknown.sort();
    unknown.into_iter().map(|name| warning(name)).collect()
}

fn warning(name: &str) -> String {
    let hint = match variable(name.trim_start_matches(PREFIX)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "`amp-sidecar --help` lists the variables that are read".to_owned(),
    };
    format!("{} is not a setting and is ignored: {hint}", sanitize(name))
}

/// The variable whose own name, or whose flag's name, is the most similar.
fn variable(text: &str) -> Option<&'static str> {
    let names = ALL.iter().flat_map(|setting| {
        let own = setting
            .env
            .iter()
            .filter_map(|name| name.strip_prefix(PREFIX));
        let flag = setting.key().to_ascii_uppercase();
        let names = own.map(str::to_owned).chain([flag]);
        names.map(move |name| (name, setting))
    });
    nearest(text, names).and_then(|setting| setting.env.first().copied())
}

fn nearest<T>(text: &str, names: impl Iterator<Item = (String, T)>) -> Option<T> {
    names
        .map(|(name, meant)| {
            let begun = text.len() >= SHORTEST_PREFIX && name.starts_with(text);
            let alike = strsim::jaro_winkler(&name, text);
            (if begun { alike + 1.0 } else { alike }, meant)
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(alike, _)| *alike > ALIKE)
        .map(|(_, meant)| meant)
}

/// What Kubernetes sets for a Service: `…_SERVICE_HOST`, `…_SERVICE_PORT[_NAME]`, `…_PORT`, `…_PORT_8005_TCP[_PROTO|_PORT|_ADDR]`.
fn is_service_link(name: &str) -> bool {
    let of_a_port = |rest: &str| {
        let (number, rest) = rest.split_once('_').unwrap_or((rest, ""));
        let protocol = rest.split('_').next().unwrap_or_default();
        number.bytes().all(|b| b.is_ascii_digit()) && matches!(protocol, "TCP" | "UDP" | "SCTP")
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.split("_PORT_").skip(1).any(of_a_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(name: &str) -> String {
        unknown_variables(&[name.to_owned()]).join("\n")
    }

    #[test]
    fn a_misspelt_variable_is_named_with_what_is_meant() {
        for (name, meant) in [
            ("AMP_SIDECAR_WORKSPACE", "AMP_SIDECAR_WORKSPACE_ID"),
            ("AMP_SIDECAR_WORKSPACEID", "AMP_SIDECAR_WORKSPACE_ID"),
            ("AMP_SIDECAR_REMOTE_WRITE", "AMP_SIDECAR_REMOTE_WRITE_URL"),
            ("AMP_SIDECAR_LOG_LEVEL", "AMP_SIDECAR_LOG"),
            ("AMP_SIDECAR_REGION", "AWS_REGION"),
            ("AMP_SIDECAR_ROLE_ARN", "AWS_ROLE_ARN"),
            ("AMP_SIDECAR_HTTPS_PROXY", "HTTPS_PROXY"),
        ] {
            let words = format!("{name} is not a setting and is ignored: did you mean {meant}?");
            assert_eq!(warned(name), words);
        }
        assert!(warned("AMP_SIDECAR_XYZZY").contains("--help"));
    }

    #[test]
    fn a_variable_that_is_read_or_set_by_kubernetes_is_not_warned_of() {
        for name in [
            "AMP_SIDECAR_WORKSPACE_ID",
            "AMP_SIDECAR_SERVICE_HOST",
            "AMP_SIDECAR_SERVICE_PORT",
            "AMP_SIDECAR_SERVICE_PORT_HTTP_METRICS",
            "AMP_SIDECAR_PORT",
            "AMP_SIDECAR_PORT_8005_TCP",
            "AMP_SIDECAR_PORT_8005_TCP_ADDR",
            "AMP_SIDECAR_PORT_53_UDP_PROTO",
            "AMP_SIDECAR_GATEWAY_SERVICE_HOST",
            "AMP_SIDECAR_GATEWAY_PORT_8005_TCP_PORT",
            "AWS_WORKSPACE",
            "PATH",
        ] {
            assert_eq!(warned(name), "", "{name}");
        }
    }
}
