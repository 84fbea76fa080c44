//! Rows about IAM Roles Anywhere and the certificate that it gives credentials for.

use emulator::anywhere::{AnywhereConfig, AnywhereRefusal};
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;

use crate::durability::form::Form;
use crate::durability::row::{Act, Row};
use crate::durability::shown::Shown;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let with_a_certificate = |name, what: &str, result| {
        Row::new(form, name, format!("{what}; sessions end meanwhile"))
            .world(|world| world.roles_anywhere = Some(AnywhereConfig::default()))
            .short_sessions(form)
            .shown(Shown::exchange(result))
    };
    let service = |answer| [Fault::new(answer)];
    vec![
        with_a_certificate(
            "anywhere-throttled",
            "IAM Roles Anywhere throttles",
            "anywhere_throttled",
        )
        .faults(
            Target::RolesAnywhere,
            service(AnywhereRefusal::Throttled.fault()),
        ),
        with_a_certificate(
            "anywhere-out",
            "IAM Roles Anywhere refuses connections",
            "anywhere_unreachable",
        )
        .faults(Target::RolesAnywhere, service(FaultKind::ResetOnAccept)),
        with_a_certificate(
            "anywhere-anchor-disabled",
            "the trust anchor is disabled",
            "anywhere_AccessDeniedException",
        )
        .begin(Act::TrustAnchor(false))
        .end(Act::TrustAnchor(true)),
        with_a_certificate(
            "certificate-expired",
            "the certificate expires and is renewed late",
            "anywhere_AccessDeniedException",
        )
        .begin(Act::ExpireCertificate)
        .end(Act::RenewCertificate),
        with_a_certificate(
            "certificate-rotated",
            "certificate and key are replaced, the old certificate is revoked",
            "ok",
        )
        .begin(Act::SupersedeCertificate),
    ]
}
