//! The name of a session, as STS takes it and CloudTrail shows it.
//!
//! In: any text, or a pod's name and namespace. Out: 2 to 64 characters of those that STS allows, the same for the same input.
//! What is too long loses its middle and keeps its end: the names of replicas differ there (`…-0`, `…-1`), and a name that is
//! cut at its end would make one of them all. A hash in the middle was rejected: people search CloudTrail for these names.

/// What STS takes as a session's name at most.
const LONGEST_NAME: usize = 64;
/// What a pod's name keeps beside its namespace at least: what tells replicas apart is at its end.
const POD_KEEPS: usize = 40;
/// Where something was left out; no name of Kubernetes holds it.
const CUT: &str = "..";

/// Characters that STS refuses become dashes, and what is too long loses its middle; STS wants at least 2.
pub(crate) fn session_name(text: &str) -> String {
    let name = shortened(&allowed(text), LONGEST_NAME);
    if name.len() < 2 {
        format!("amp-sidecar-{name}")
    } else {
        name
    }
}

/// The name of a pod's session, as `prometheus-0.monitoring`: both ends of both names stay.
pub(crate) fn session_name_of_pod(pod: &str, namespace: &str) -> String {
    let (pod, namespace) = (allowed(pod), allowed(namespace));
    let room = LONGEST_NAME - 1;
    let for_pod = room.saturating_sub(namespace.len()).max(POD_KEEPS);
    let pod = shortened(&pod, for_pod);
    let namespace = shortened(&namespace, room - pod.len());
    format!("{pod}.{namespace}")
}

fn allowed(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let dashed = |c| if allowed(c) { c } else { '-' };
    text.chars().map(dashed).collect()
}

/// Without its middle where it is longer; the end stays longer than the beginning, because that is where names differ.
fn shortened(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let kept = most.saturating_sub(CUT.len());
    let (before, after) = (kept / 3, kept - kept / 3);
    // All of it is ASCII.
    let start = name.get(..before).unwrap_or_default();
    let end = name.get(name.len() - after..).unwrap_or_default();
    format!("{start}{CUT}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_names_are_made_valid() {
        assert_eq!(
            session_name("monitoring/prometheus k8s"),
            "monitoring-prometheus-k8s"
        );
        let dashes = format!("{}..{}", "-".repeat(20), "-".repeat(42));
        assert_eq!(session_name(&"é".repeat(90)), dashes);
        assert_eq!(session_name(""), "amp-sidecar-");
    }

    #[test]
    fn replicas_are_told_apart_however_long_their_names_are() {
        let of = |pod: &str, namespace: &str| {
            let name = session_name_of_pod(pod, namespace);
            assert!((2..=64).contains(&name.len()) && name.is_ascii(), "{name}");
            name
        };
        assert_eq!(of("prometheus-0", "monitoring"), "prometheus-0.monitoring");
        let stack = "prometheus-kube-prometheus-stack-of-the-platform-team-prometheus";
        assert_eq!(
            of(&format!("{stack}-0"), "monitoring"),
            "prometheus-kube-p..-of-the-platform-team-prometheus-0.monitoring"
        );
        let namespace = "monitoring-of-the-european-platform-and-of-everything-else-prod";
        for (pod, namespace) in [(stack, "monitoring"), (stack, namespace), ("p", namespace)] {
            let [first, second] = [0, 1].map(|n| of(&format!("{pod}-{n}"), namespace));
            assert_ne!(first, second);
            assert_eq!(first, of(&format!("{pod}-0"), namespace));
            assert!(
                first.contains("-0.monit") && first.ends_with(&namespace[namespace.len() - 4..]),
                "{first}"
            );
        }
        let long = format!("team/{stack}/replica-7");
        assert!(session_name(&long).ends_with("-prometheus-replica-7"));
        assert_eq!(session_name(&long).len(), 64);
    }
}
