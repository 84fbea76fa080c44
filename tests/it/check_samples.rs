//! `docs/check-samples.md` is what `check` prints, and `docs/check.md` documents every field of its `--json`.
//!
//! Each sample is a run against the emulator, whose addresses, folder and times are replaced, since they differ from run to run.

use std::collections::{BTreeMap, BTreeSet};

use amp_sidecar::check::{Report, StepState};
use emulator::issuer::BrokenToken;
use emulator::world::WorldConfig;
use serde_json::Value;

use crate::check::run;
use crate::leak_check::World;

const DOCUMENT: &str = include_str!("../../docs/check.md");

/// How a sample is made.
struct Sample {
    title: &'static str,
    about: &'static str,
    /// Its Prometheus configuration, which the page shows.
    prometheus: Option<&'static str>,
    settings: &'static [(&'static str, &'static str)],
    token: Option<BrokenToken>,
    world: fn(&mut WorldConfig),
    json: bool,
}

fn sample(title: &'static str, about: &'static str) -> Sample {
    Sample {
        title,
        about,
        prometheus: None,
        settings: &[],
        token: None,
        world: |_| {},
        json: false,
    }
}

fn samples() -> Vec<Sample> {
    vec![
        Sample {
            prometheus: Some("remote_write:\n  - url: http://127.0.0.1:8005/api/v1/remote_write\n"),
            ..sample("Healthy", "Everything works.")
        },
        Sample {
            world: |world| world.sts_https = false,
            ..sample(
                "A clock that cannot be checked",
                "`--sts-endpoint` is plain HTTP, so nothing proves the time. Exit code 0.",
            )
        },
        Sample {
            token: Some(BrokenToken::WrongAudience),
            ..sample(
                "A token for the API server",
                "STS says only that the audience is wrong; the token shows whose it is. Exit code 1.",
            )
        },
        Sample {
            token: Some(BrokenToken::WrongSubject),
            ..sample(
                "A role that does not trust the token",
                "STS does not say why it denies, so every possible cause is listed. Exit code 1.",
            )
        },
        Sample {
            world: |world| world.role_may_write = false,
            ..sample(
                "A role that may not write",
                "The session is given, and AMP denies the write. Exit code 1.",
            )
        },
        Sample {
            settings: &[("region", "Frankfurt"), ("upstream-timeout", "25")],
            ..sample(
                "Invalid settings",
                "All are named at once; one remedy is for both. Exit code 1.",
            )
        },
        Sample {
            prometheus: Some(
                "remote_write:\n  - &amp\n    name: amp\n    url: http://localhost:8006/api/v1/write\n    remote_timeout: 20s\n    headers: {Origin: https://prometheus.example}\n  - <<: *amp\n    name: amp-copy\n    url: http://localhost:8005/api/v1/write\n  - url: http://mimir.example/api/v1/push\n",
            ),
            ..sample(
                "A Prometheus that writes to the wrong port",
                "And the copy of its entry has what no sender may send. Exit code 1.",
            )
        },
        Sample {
            token: Some(BrokenToken::Expired),
            json: true,
            ..sample(
                "For machines",
                "An expired token, with `--json`; [every field](check.md#json) is documented. Exit code 1.",
            )
        },
    ]
}

impl Sample {
    async fn run(&self) -> (World, Report) {
        let mut config = WorldConfig {
            sts_https: true,
            ..WorldConfig::default()
        };
        (self.world)(&mut config);
        let world = World::start(config).await.unwrap();
        if let Some(token) = self.token {
            world.break_token(token).unwrap();
        }
        let settings = self.settings.iter();
        let settings: Vec<_> = settings
            .map(|(flag, value)| (*flag, (*value).to_owned()))
            .collect();
        let report = run(&world, &settings, self.prometheus).await;
        (world, report)
    }

    async fn print(&self) -> String {
        let (world, report) = self.run().await;
        let mut page = format!("\n## {}\n{}\n", self.title, self.about);
        let mut command = "amp-sidecar check".to_owned();
        if let Some(text) = self.prometheus {
            command += " --prometheus-config prometheus.yml";
            page += &format!("\n```yaml\n{text}```\n");
        }
        let (shown, language) = if self.json {
            command += " --json";
            (report.json(), "json")
        } else {
            (report.text(false), "text")
        };
        page += &format!(
            "\n```sh\n{command}\n```\n\n```{language}\n{}```\n",
            without_run(&shown, &world)
        );
        page
    }
}

/// Without what differs from run to run.
fn without_run(text: &str, world: &World) -> String {
    let host = |url: &str| {
        let (_, rest) = url.split_once("://").unwrap();
        rest.split('/').next().unwrap().to_owned()
    };
    let folder = world.folder().display().to_string();
    let mut text = text
        .replace(&host(world.sts_url()), "sts.emulator")
        .replace(&host(world.amp_url()), "amp.emulator")
        .replace(&host(world.issuer_url()), "issuer.emulator")
        .replace(&folder, "/emulator")
        .replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"0.1.0\"");
    text = with_one_time(&text);
    for (before, after) in [(" for ", " s"), ("expired ", " s ago")] {
        text = with_round_seconds(&text, before, after);
    }
    text
}

/// Seconds since 1970 become a certain time.
fn with_one_time(text: &str) -> String {
    let mut changed = String::new();
    for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        changed += if digits == 10 { "1800000000" } else { number };
        changed += rest;
    }
    changed
}

/// Numbers between these two become 3600.
fn with_round_seconds(text: &str, before: &str, after: &str) -> String {
    let mut parts = text.split(before);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        let is = digits > 0 && rest.starts_with(after);
        changed += before;
        changed += if is { "3600" } else { number };
        changed += rest;
    }
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_in_the_docs_are_what_is_printed() {
    let mut page = String::from(
        "# What `amp-sidecar check` prints\n\
         For anyone who reads the output of [`check`](check.md): a healthy run, and typical failures. A test runs each against the\n\
         [emulator](../emulator/README.md) and compares this page with what is printed; only addresses, the folder, times and the version are replaced.\n",
    );
    for sample in samples() {
        page += &sample.print().await;
    }
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let written = std::fs::read_to_string(format!("{root}docs/check-samples.md"));
    if written.unwrap_or_default() != page {
        let printed = format!("{root}target/tmp/check-samples.md");
        std::fs::create_dir_all(format!("{root}target/tmp")).unwrap();
        std::fs::write(&printed, page).unwrap();
        panic!("docs/check-samples.md differs from what is printed: see {printed}");
    }
}

/// The type of every field by its path, as the page names it.
fn fields(value: &Value, path: &str, found: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    let mut is = |kind| {
        found.entry(path.to_owned()).or_default().insert(kind);
    };
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let below = format!("{path}.{key}");
                fields(value, below.trim_start_matches('.'), found);
            }
        }
        Value::Array(values) => {
            for value in values {
                fields(value, &format!("{path}[]"), found);
            }
        }
        Value::String(_) => is("string"),
        Value::Bool(_) => is("boolean"),
        Value::Null => is("null"),
        Value::Number(_) => is("number"),
    }
}

/// The first cells of the rows between a heading and the next one.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = DOCUMENT.split_once(heading).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    rows.map(|row| row.split(" | ").collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_and_step_of_the_json_is_documented() {
    let mut found = BTreeMap::new();
    let mut steps = BTreeSet::new();
    let mut states = BTreeSet::new();
    for sample in samples() {
        let (_world, report) = sample.run().await;
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["ok"], report.is_whole());
        fields(&json, "", &mut found);
        for step in &report.steps {
            steps.insert(step.step.replace("[1]", "[0]"));
            states.insert(serde_json::to_string(&step.outcome.state).unwrap());
        }
        assert_ne!(
            report.is_whole(),
            report.text(false).contains("does not flow")
        );
    }
    let found: BTreeSet<(String, String)> = found
        .into_iter()
        .map(|(path, mut kinds)| {
            let nullable = kinds.remove("null");
            let mut kind = Vec::from_iter(kinds).join(" or ");
            if nullable {
                kind += " or null";
            }
            (path, kind)
        })
        .collect();
    let documented: BTreeSet<(String, String)> = rows("\n## JSON\n")
        .iter()
        .filter(|row| row[0].starts_with('`'))
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].to_owned()))
        .collect();
    assert_eq!(found, documented);

    let words: BTreeSet<&str> = rows("\n## The steps\n")
        .iter()
        .flat_map(|row| row[0].split(", "))
        .collect();
    for step in &steps {
        assert!(words.contains(step.as_str()), "{step} is not in {words:?}");
    }
    let all = [
        StepState::Ok,
        StepState::Warning,
        StepState::Broken,
        StepState::Skipped,
    ];
    let all: BTreeSet<String> = all
        .map(|state| serde_json::to_string(&state).unwrap())
        .into();
    assert_eq!(states, all, "the samples show each state");
}
