//! Rows about the metadata server of a virtual machine.

use emulator::entra::TokenVersion;
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};

use crate::durability::form::Form;
use crate::durability::row::Row;
use crate::durability::shown::Shown;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let on = |machine: WorldConfig, name, what: &str, answer: FaultKind, result| {
        Row::new(form, name, format!("{what}; sessions end meanwhile"))
            .world(|world| {
                world.machine = machine.machine;
                world.entra = machine.entra;
            })
            .short_sessions(form)
            .faults(Target::Metadata, [Fault::new(answer)])
            .shown(Shown::exchange(result))
    };
    let in_azure = || WorldConfig::on_azure(TokenVersion::V1);
    let removed = r#"{"error": "invalid_request", "error_description": "Identity not found"}"#;
    let throttled = FaultKind::Answer {
        status: 429,
        headers: vec![("metadata-flavor".to_owned(), "Google".to_owned())],
        body: "Too Many Requests".to_owned(),
    };
    vec![
        on(
            in_azure(),
            "imds-updated",
            "Azure's metadata server answers 410",
            FaultKind::answer(410, ""),
            "imds_unavailable",
        ),
        on(
            in_azure(),
            "imds-identity-removed",
            "the machine loses its managed identity: 400",
            FaultKind::answer(400, removed),
            "imds_no_identity",
        ),
        on(
            WorldConfig::at_google(),
            "gce-throttled",
            "Google's metadata server throttles",
            throttled,
            "gce_throttled",
        ),
    ]
}
