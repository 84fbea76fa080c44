//! `docs/guide.md`, followed to the letter by bash in a rehearsal: its commands are taken from the page, and its outputs compared with what is printed.
//!
//! ```` ```sh ```` is run and must succeed, ```` ```text ```` is what the commands before it print, ```` ```console ```` is a mistake with its output;
//! `…` stands for anything. Only `cargo` is replaced, since it would take minutes: by the binary that is tested, and by an emulator in this process
//! with the options of the page. `az` and the cluster are the stand-ins that the page names; aws, Prometheus and `kubectl patch` are real.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Parser as _;
use emulator::cli::{Cli, Command as EmulatorCommand, greeting};
use emulator::world::World;

use crate::namespace::in_a_network_of_its_own;

const SERVE: &str = "cargo run --release --locked -p emulator -- ";
/// Before `setup prometheus` is added.
const PROMETHEUS: &str = "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: prometheus\n    static_configs: [{ targets: [\"127.0.0.1:9090\"] }]\n";

/// A fenced block of the page.
struct Block {
    section: String,
    kind: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let (mut blocks, mut section, mut open) = (Vec::new(), String::new(), None::<Block>);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide.md");
    for line in std::fs::read_to_string(page).unwrap().lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => block.text += &format!("{line}\n"),
            (None, Some(kind)) => {
                open = Some(Block {
                    section: section.clone(),
                    kind: kind.to_owned(),
                    text: String::new(),
                });
            }
            (None, None) if line.starts_with("## ") => section = line.to_owned(),
            (None, None) => {}
        }
    }
    blocks
}

/// Runs every command of the way, each block's output in a file of its own, and gives the output that each should have.
fn script(blocks: &[Block]) -> (String, Vec<(usize, String)>) {
    let (mut script, mut expected) = ("set -eu\n".to_owned(), Vec::new());
    for (n, block) in blocks.iter().enumerate() {
        match block.kind.as_str() {
            "sh" => script += &format!("exec > {n}.out 2>&1\n{}", block.text),
            "text" => expected.push((n - 1, block.text.clone())),
            "console" => {
                let is_command = |line: &&str| line.starts_with("$ ");
                let commands = block.text.lines().filter(is_command);
                let commands: Vec<_> = commands.map(|line| &line[2..]).collect();
                let output = block.text.lines().filter(|line| !is_command(line));
                expected.push((n, output.map(|line| format!("{line}\n")).collect()));
                script += &format!(
                    "exec > {n}.out 2>&1\nset +e\n{}\nset -e\n",
                    commands.join("\n")
                );
            }
            "sh not-rehearsed" => {}
            kind => panic!("{kind}: the test does not know what to do with such a block"),
        }
    }
    (script, expected)
}

/// Whether the text is the expected one, in which `…` stands for anything.
fn fits(text: &str, expected: &str) -> bool {
    let Some((first, parts)) = expected.split_once('…') else {
        return text == expected;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let (between, last) = parts.rsplit_once('…').unwrap_or(("", parts));
    for part in between.split('…') {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn cargo(folder: &Path) {
    let binary = env!("CARGO_BIN_EXE_amp-sidecar");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in\n\
         'build --release --locked --bin amp-sidecar') mkdir -p target/release && ln -sf {binary} target/release/amp-sidecar;;\n\
         '{}'*) cat greeting;;\n*) echo \"not in the rehearsal: cargo $*\" >&2; exit 1;;\nesac\n",
        SERVE.trim_start_matches("cargo ")
    );
    let file = folder.join("bin/cargo");
    std::fs::create_dir(folder.join("bin")).unwrap();
    std::fs::write(&file, text).unwrap();
    Command::new("chmod").arg("+x").arg(file).status().unwrap();
}

/// The processes of the pod.
struct Pod(PathBuf);

impl Drop for Pod {
    fn drop(&mut self) {
        for name in ["prometheus", "amp-sidecar"] {
            if let Ok(pid) = std::fs::read_to_string(self.0.join(format!("cluster/{name}.pid"))) {
                let _ended = Command::new("kill").args(["-KILL", &pid]).status();
            }
        }
    }
}

async fn follow(skipped: &str) {
    let mut blocks = blocks();
    blocks.retain(|block| !block.section.contains(skipped));
    let (script, expected) = script(&blocks);
    let serve = script.lines().find_map(|line| line.strip_prefix(SERVE));
    let options = serve
        .unwrap()
        .split_whitespace()
        .take_while(|word| *word != ">");
    let cli = Cli::parse_from(std::iter::once("emulator").chain(options));
    let EmulatorCommand::Serve(options) = cli.command;
    let world = World::start(options.config()).await.unwrap();
    let _pod = Pod(world.folder().to_owned());

    let checkout = tempfile::tempdir().unwrap();
    let folder = checkout.path();
    cargo(folder);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(root.join("emulator"), folder.join("emulator")).unwrap();
    std::fs::write(folder.join("greeting"), greeting(&world)).unwrap();
    std::fs::write(folder.join("prometheus.yml"), PROMETHEUS).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["-c", &script])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{}/bin:{path}", folder.display()))
        .env("HOME", folder);
    let done = bash.status().await.unwrap();
    let said =
        |n: usize| std::fs::read_to_string(folder.join(format!("{n}.out"))).unwrap_or_default();
    let last = (0..blocks.len())
        .rev()
        .find(|n| folder.join(format!("{n}.out")).exists());
    assert!(
        done.success(),
        "{}\nprinted\n{}",
        blocks[last.unwrap()].text,
        said(last.unwrap())
    );
    for (n, expected) in &expected {
        let said = said(*n);
        assert!(
            fits(&said, expected),
            "{}\nprinted\n{said}\nand the page says\n{expected}",
            blocks[*n].text
        );
    }
    for _ in 0..300 {
        // One is the canary's.
        if world.store().stats().samples > 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no sample of Prometheus has come to AMP: {}", world.state());
}

#[test]
fn the_guide_leads_to_amp_with_the_clusters_own_token() {
    in_a_network_of_its_own(
        "guide::the_guide_leads_to_amp_with_the_clusters_own_token",
        follow("(through Entra ID)"),
    );
}

#[test]
fn the_guide_leads_to_amp_through_entra() {
    in_a_network_of_its_own(
        "guide::the_guide_leads_to_amp_through_entra",
        follow("(directly)"),
    );
}

/// What the page says in other words than in commands has the names that `setup` has by default, and so has all of `deploy`.
#[test]
fn role_namespace_and_service_account_have_the_same_names_everywhere() {
    let world = emulator::world::WorldConfig::default().token;
    assert_eq!(
        world.subject(),
        "system:serviceaccount:monitoring:prometheus"
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, names) in [
        (
            "docs/guide.md",
            &["`monitoring`", "`prometheus`", "role/amp-sidecar"][..],
        ),
        (
            "docs/setup.md",
            &[
                "| `--namespace` | aws, azure, kubernetes | `monitoring` |",
                "| `--service-account` | aws, azure, kubernetes | `prometheus` |",
                "| `--role-name` | aws, kubernetes | `amp-sidecar` |",
            ],
        ),
        (
            "docs/kubernetes.md",
            &["serviceAccountName: prometheus", "role/amp-sidecar"],
        ),
        (
            "deploy/kustomize/base/stateful-set.yaml",
            &["serviceAccountName: prometheus"],
        ),
        (
            "deploy/operator/prometheus.yaml",
            &[
                "`serviceAccountName` must be \"prometheus\"",
                "role/amp-sidecar",
            ],
        ),
    ] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for name in names {
            assert!(text.contains(name), "{file}: {name}");
        }
    }
}

#[test]
fn an_output_fits_only_what_the_page_says() {
    assert!(fits("a 1 b\n", "a … b\n") && fits("a\nb\nc\n", "a\n…") && fits("a\n", "a\n"));
    assert!(!fits("a 1 c\n", "a … b\n") && !fits("a\nb\n", "a\n") && !fits("b\n", "a\n…"));
}
