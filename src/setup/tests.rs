//! Compares the table of `docs/setup.md` with the definition, and checks that no placeholder is left.

use super::arguments::{ALL, Argument};
use super::reader::SetupInputs;
use super::*;

const DOCS: &str = include_str!("../../docs/setup.md");

#[test]
fn the_table_of_arguments_is_the_definition() {
    let name = |topic: &Topic| TOPICS.iter().find(|(known, ..)| known == topic).unwrap().1;
    let row = |of: &Argument| {
        let topics: Vec<&str> = of.topics.iter().map(name).collect();
        let default = match of.default.strip_prefix('[') {
            Some(words) => words.trim_end_matches(']').to_owned(),
            None => format!("`{}`", of.default),
        };
        format!(
            "| `--{}` | {} | {default} | {} |\n",
            of.flag,
            topics.join(", "),
            of.help
        )
    };
    let table: String = ALL.iter().map(row).collect();
    let (_, rest) = DOCS
        .split_once("<!-- arguments: checked against the code by a test -->")
        .unwrap();
    let (written, _) = rest.split_once("<!-- end of arguments -->").unwrap();
    assert!(
        written.ends_with(&format!("|---|---|---|---|\n{table}")),
        "docs/setup.md should say:\n{table}"
    );
}

#[test]
fn the_definition_makes_a_valid_command_line() {
    command().debug_assert();
}

#[test]
fn every_place_of_every_template_is_filled() {
    const GUID: &str = "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a";
    let choices = |flag: &str| match flag {
        "via" => vec![
            "direct",
            "entra",
            "azure-imds",
            "gce-metadata",
            "pod-identity",
            "roles-anywhere",
        ],
        "format" => vec!["cli", "cloudformation", "terraform"],
        "for" => vec![
            "statefulset",
            "operator",
            "kube-prometheus-stack",
            "prometheus-chart",
        ],
        "plain" => vec!["", "true"],
        "access-token-version" => vec!["1", "2"],
        _ => vec![""],
    };
    for (topic, name, _) in TOPICS {
        for via in choices("via") {
            let of_a_machine = matches!(via, "azure-imds" | "gce-metadata" | "roles-anywhere");
            let elsewhere = matches!(via, "gce-metadata" | "pod-identity" | "roles-anywhere");
            if of_a_machine && topic == Topic::Kubernetes || elsewhere && topic == Topic::Azure {
                continue;
            }
            for form in choices("format") {
                for (runner, plain) in choices("for").into_iter().flat_map(|runner| {
                    choices("plain")
                        .into_iter()
                        .map(move |plain| (runner, plain))
                }) {
                    for version in choices("access-token-version") {
                        let given = |of: &Argument| {
                            let value = match of.flag {
                                "via" => via,
                                "format" => form,
                                "for" => runner,
                                "plain" => plain,
                                "access-token-version" => version,
                                "issuer" if via == "direct" => "https://oidc.example.com/",
                                "tenant-id" | "client-id" | "object-id" => GUID,
                                "account" => "111122223333",
                                "region" => "us-gov-west-1",
                                "workspace-id" => "ws-1",
                                "cluster" | "resource-group" | "vm" => "aks",
                                "ca-certificate" => concat!(
                                    env!("CARGO_MANIFEST_DIR"),
                                    "/tests/data/roles-anywhere/ca.pem"
                                ),
                                "unique-id" => "107517467455664443765",
                                "image" => "registry.example/amp-sidecar:1",
                                _ => return None,
                            };
                            Some(value.to_owned())
                        };
                        let text = SetupInputs::new(topic, &given, Vec::new(), None)
                            .read()
                            .unwrap();
                        assert!(
                            !text.contains(">>\n") && !text.contains("<<"),
                            "{name}: {text}"
                        );
                        assert!(!text.contains("arn:aws:"), "{name}: {text}");
                        assert!(text.contains(env!("CARGO_PKG_VERSION")));
                    }
                }
            }
        }
    }
}
