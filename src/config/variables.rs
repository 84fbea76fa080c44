//! Names the variables that look like settings of ours and are none.
//!
//! In: the names of all environment variables. Out: a warning for each that begins with `AMP_SIDECAR_` and that nothing reads,
//! with the name that was probably meant. It is a warning and not a fault, since such a variable may be meant for somebody
//! else: Kubernetes itself sets some of that form in every pod beside a Service whose name begins with `amp-sidecar`.

use super::Setting;
use super::settings::ALL;

const OURS: &str = "AMP_SIDECAR_";
/// Less alike than this is nothing that anybody meant.
const ALIKE: f64 = 0.8;

/// One warning for each variable of our form that no setting reads.
pub(super) fn unknown(names: &[String]) -> Vec<String> {
    let mut unknown: Vec<&String> = names
        .iter()
        .filter(|name| name.starts_with(OURS))
        .filter(|name| {
            !ALL.iter()
                .any(|setting| setting.env.contains(&name.as_str()))
        })
        .filter(|name| !is_service_link(name))
        .collect();
    unknown.sort();
    unknown.iter().map(|name| warning(name)).collect()
}

fn warning(name: &str) -> String {
    let hint = match nearest(name.trim_start_matches(OURS)) {
        Some(meant) => format!("is {meant} meant?"),
        None => "`amp-sidecar --help` lists the variables that are read".to_owned(),
    };
    let name = crate::sanitize::sanitize(name);
    format!("{name} is not a setting and is ignored: {hint}")
}

/// The variable whose own name, or whose flag's name, is the most alike.
fn nearest(wanted: &str) -> Option<&'static str> {
    let alike = |setting: &Setting| {
        let flag = setting.flag.replace('-', "_").to_ascii_uppercase();
        let own = setting
            .env
            .iter()
            .filter_map(|name| name.strip_prefix(OURS));
        own.chain([flag.as_str()])
            .map(|name| strsim::jaro_winkler(name, wanted))
            .fold(0.0, f64::max)
    };
    ALL.iter()
        .map(|setting| (alike(setting), setting))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(alike, _)| *alike > ALIKE)
        .and_then(|(_, setting)| setting.env.first().copied())
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

    fn told(name: &str) -> String {
        unknown(&[name.to_owned()]).join("\n")
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
            let words = format!("{name} is not a setting and is ignored: is {meant} meant?");
            assert_eq!(told(name), words);
        }
        assert!(told("AMP_SIDECAR_XYZZY").contains("--help"));
    }

    #[test]
    fn what_is_read_and_what_kubernetes_sets_is_not_named() {
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
            assert_eq!(told(name), "", "{name}");
        }
    }
}
