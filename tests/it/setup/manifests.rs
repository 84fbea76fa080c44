//! Checks manifests and configuration with the tools that read them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Folder, IMAGE, PLACE, entra, peer, printed};

#[test]
fn the_patch_adds_what_is_ours_and_changes_nothing_else() {
    let folder = Folder::new();
    let set = folder.write(
        "set.yaml",
        r#"{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "prometheus", "namespace": "monitoring"},
            "spec": {"serviceName": "p", "selector": {"matchLabels": {"app": "p"}}, "template": {"metadata": {"labels": {"app": "p"}},
              "spec": {"serviceAccountName": "own", "terminationGracePeriodSeconds": 300,
                "initContainers": [{"name": "init", "image": "i"}],
                "containers": [{"name": "server", "image": "p"}, {"name": "other", "image": "o"}],
                "volumes": [{"name": "data", "emptyDir": {}}]}}}}"#,
    );
    let entra = entra("--client-id");
    for (via, volumes) in [
        (&[][..], 2),
        (&entra, 2),
        // EKS adds the volume of its token, and its path.
        (&["--via", "pod-identity"], 1),
    ] {
        let text = printed(&[
            &["kubernetes", "--container", "server"],
            via,
            &PLACE,
            &IMAGE,
        ]);
        // The command of the first line, on a file instead of the cluster's object.
        let command = text.lines().next().unwrap();
        let command = command
            .strip_prefix("# A patch, not a manifest: kubectl patch statefulset \"prometheus\" --namespace \"monitoring\" ")
            .unwrap_or_else(|| panic!("{command}"));
        let patch = folder.write("patch.yaml", &text);
        let command = command.replace("THIS-FILE", patch.to_str().unwrap());
        let merged = peer(
            Command::new("kubectl")
                .args(["patch", "--local", "-o", "json", "-f"])
                .arg(&set)
                .args(command.split(' ')),
        );
        let result = folder.write("merged.yaml", &merged);
        peer(
            Command::new("kubernetes-validate")
                .arg("--strict")
                .arg(result),
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
                vec!["server".to_owned(), "other".to_owned()]
            )
        );
        assert_eq!(names("volumes").len(), volumes);
        assert_eq!(pod["serviceAccountName"], "own");
        assert_eq!(pod["terminationGracePeriodSeconds"], 300);
        let server = &pod["containers"][0];
        assert_eq!(server["image"], "p");
        let hook = serde_json::json!({"path": "/caught-up?within=60s", "port": 8006});
        assert_eq!(server["lifecycle"]["preStop"]["httpGet"], hook);
        let mut containers = pod["initContainers"].as_array().unwrap().iter();
        let ours = containers.find(|one| one["name"] == "amp-sidecar").unwrap();
        let variables: Vec<_> = ours["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["name"])
            .collect();
        let by_a_token = variables.iter().any(|name| *name == "AWS_ROLE_ARN");
        assert_eq!(by_a_token, volumes == 2, "{variables:?}");
        assert_eq!(
            !by_a_token,
            variables
                .iter()
                .any(|name| *name == "AMP_SIDECAR_CREDENTIALS")
        );
        let profile = &ours["securityContext"]["seccompProfile"]["type"];
        assert_eq!(profile, "RuntimeDefault");
    }
}

#[test]
fn the_operator_and_its_chart_take_the_sidecar() {
    let folder = Folder::new();
    let runners = ["operator", "kube-prometheus-stack"];
    let forms = runners.map(|runner| [(runner, &[][..]), (runner, &["--plain"])]);
    let files = forms.as_flattened().iter().map(|(runner, plain)| {
        let text = printed(&[&["kubernetes", "--for", runner], plain, &PLACE, &IMAGE]);
        folder.write(&format!("{runner}{}", plain.len()), &text)
    });
    let files: Vec<_> = files.collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/setup/prometheus_object.py");
    peer(Command::new("peers-python").arg(script).args(&files));
    let pods = files.iter().map(|file| file.with_extension("pod"));
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
