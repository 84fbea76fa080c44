//! Rows about credentials that are given: by a container's agent, in a file.

use emulator::container::Platform;
use emulator::credentials_file::GivenKeys;
use emulator::fault::{Fault, FaultKind};
use emulator::issuer::BrokenToken;
use emulator::world::{Target, WorldConfig};

use crate::durability::form::Form;
use crate::durability::row::{Act, Row};
use crate::durability::shown::Shown;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let in_a_pod = |name, what: &str, result| {
        Row::new(form, name, format!("{what}; sessions end meanwhile"))
            .world(|world| {
                let pod = WorldConfig::in_container(Platform::PodIdentity);
                world.container = pod.container;
                world.trust_policy = pod.trust_policy;
                world.token.audience = pod.token.audience;
            })
            .short_sessions(form)
            .shown(Shown::exchange(result))
    };
    let from_a_file = |name, what: &str| {
        Row::new(form, name, what)
            .world(|world| world.keys = Some(GivenKeys::File))
            .end(Act::RotateCredentialsFile)
    };
    let agent = |answer| [Fault::new(answer)];
    let throttled = FaultKind::answer(429, "Too Many Requests. slow down");
    vec![
        in_a_pod(
            "pod-identity-throttled",
            "the agent of EKS Pod Identity throttles",
            "container_throttled",
        )
        .faults(Target::Container, agent(throttled)),
        in_a_pod(
            "pod-identity-out",
            "the agent of EKS Pod Identity refuses connections",
            "container_unreachable",
        )
        .faults(Target::Container, agent(FaultKind::ResetOnAccept)),
        in_a_pod(
            "pod-identity-association-removed",
            "the pod's service account is associated with no role",
            "container_refused",
        )
        .begin(Act::BreakToken(BrokenToken::WrongSubject))
        .end(Act::RotateToken),
        from_a_file(
            "credentials-file-rotated",
            "the agent replaces the keys before the old ones end",
        )
        .world(|world| world.session_life = Some(form.fault * 5 / 3))
        .begin(Act::SessionLife(form.fault * 100))
        .begin(Act::RotateCredentialsFile)
        .shown(Shown::exchange("ok")),
        from_a_file(
            "credentials-file-late",
            "AMP no longer knows the keys, and the agent is late with the next ones",
        )
        .begin(Act::RevokeSessions)
        .shown(Shown::outcome("unauthenticated")),
        from_a_file(
            "credentials-file-useless",
            "the agent writes a file without the profile",
        )
        .begin(Act::SpoilCredentialsFile)
        .shown(Shown::exchange("credentials_file_no_profile")),
    ]
}
