//! The name of a role session, as STS accepts it and CloudTrail shows it.
//!
//! In: any text, or a pod's name and namespace. Out: 2 to 64 characters of those that STS allows, the same for the same input. A longer name loses
//! its middle and keeps its end, since the names of replicas differ there (`…-0`, `…-1`). A hash in the middle was rejected: people search CloudTrail
//! for these names.

/// STS' maximum length.
const LONGEST_NAME: usize = 64;
/// The minimum length of a pod's name beside its namespace: its end distinguishes replicas.
const POD_KEEPS: usize = 40;
/// Marks the cut; Kubernetes allows it in no name.
const CUT: &str = "..";

/// Replaces characters that STS rejects with dashes, and cuts the middle of longer names; STS requires at least 2 characters.
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

/// Cuts the middle if it is longer; keeps more of the end than of the beginning, because names differ there.
fn shortened(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let kept = most.saturating_sub(CUT.len());
    let (before, after) = (kept / 3, kept - kept / 3);
    // All ASCII.
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
    fn replicas_differ_however_long_their_names_are() {
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
