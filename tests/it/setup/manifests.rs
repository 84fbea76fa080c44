//! Checks manifests and configuration with the tools that read them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Folder, IMAGE, PLACE, entra, peer, printed};

#[test]
fn the_patch_merges_into_a_stateful_set() {
    let folder = Folder::new();
    let set = folder.write(
        "set.yaml",
        r#"{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "prometheus", "namespace": "monitoring"},
            "spec": {"serviceName": "p", "selector": {"matchLabels": {"app": "p"}}, "template": {"metadata": {"labels": {"app": "p"}},
              "spec": {"initContainers": [{"name": "init", "image": "i"}], "containers": [{"name": "prometheus", "image": "p"}],
                "volumes": [{"name": "data", "emptyDir": {}}]}}}}"#,
    );
    for via in [&[][..], &entra("--client-id")] {
        let text = printed(&[&["kubernetes"], via, &PLACE, &IMAGE]);
        let (account, patch) = text.split_once("\n---\n").unwrap();
        let account = folder.write("account.yaml", account);
        let patch = folder.write("patch.yaml", patch);
        let merged = peer(
            Command::new("kubectl")
                .args([
                    "patch",
                    "--local",
                    "--type",
                    "strategic",
                    "-o",
                    "json",
                    "-f",
                ])
                .arg(&set)
                .arg("--patch-file")
                .arg(patch),
        );
        let result = folder.write("merged.yaml", &merged);
        peer(
            Command::new("kubernetes-validate")
                .arg("--strict")
                .args([account, result]),
        );
        let pod = &serde_json::from_str::<Value>(&merged).unwrap()["spec"]["template"]["spec"];
        let names = |list: &str| -> Vec<String> {
            let list = pod[list].as_array().unwrap().iter();
            list.map(|one| one["name"].as_str().unwrap().to_owned())
                .collect()
        };
        let mut init = names("initContainers");
        init.sort();
        assert_eq!(
            (init, names("containers")),
            (
                vec!["amp-sidecar".to_owned(), "init".to_owned()],
                vec!["prometheus".to_owned()]
            )
        );
        assert_eq!(names("volumes").len(), 2);
        assert_eq!(pod["serviceAccountName"], "prometheus");
    }
}

#[test]
fn the_operator_and_its_chart_take_the_sidecar() {
    let folder = Folder::new();
    let files = ["operator", "kube-prometheus-stack"].map(|runner| {
        let text = printed(&[&["kubernetes", "--for", runner], &PLACE, &IMAGE]);
        folder.write(runner, &text)
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/setup/prometheus_object.py");
    peer(Command::new("peers-python").arg(script).args(&files));
    let pods = files.map(|file| file.with_extension("pod"));
    peer(
        Command::new("kubernetes-validate")
            .arg("--strict")
            .args(pods),
    );
}

#[test]
fn prometheus_takes_the_remote_write_section() {
    let folder = Folder::new();
    for (arguments, path) in [
        (&[][..], "http://127.0.0.1:8005/api/v1/remote_write"),
        (
            &["--workspace-id", "ws-1"],
            "http://127.0.0.1:8005/workspaces/ws-1/api/v1/remote_write",
        ),
    ] {
        let text = printed(&[&["prometheus"], arguments]);
        assert!(text.contains(path), "{text}");
        let path = folder.write("prometheus.yml", &text);
        peer(Command::new("promtool").args(["check", "config"]).arg(path));
    }
}
