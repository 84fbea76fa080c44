//! The demo, the first thing that a new user runs.

use std::path::PathBuf;
use std::time::Duration;

use testbench::demo::{self, Options, SenderChoice, Wanted};
use tokio::sync::watch;

async fn summary_of(sender: SenderChoice, seconds: u64) -> serde_json::Value {
    let options = Options {
        sidecar: Some(PathBuf::from(env!("CARGO_BIN_EXE_amp-sidecar"))),
        sender,
        length: Some(Duration::from_secs(seconds)),
        series: 300,
        progress_on_stderr: true,
    };
    let (_more, wanted) = watch::channel(Wanted::More);
    let summary = demo::run(&options, wanted).await.unwrap();
    assert_the_table_is_the_whole(&summary);
    serde_json::to_value(summary).unwrap()
}

/// Every scene has samples, from the first one on, and all of them together are what was sent.
fn assert_the_table_is_the_whole(summary: &demo::Summary) {
    assert!(
        summary.made_before > 0,
        "the first scene began without a sample"
    );
    assert_eq!(summary.survived.len(), 9, "{summary}");
    for row in &summary.survived {
        assert!(row.sent > 0 && row.lost() == 0, "{row:?}");
    }
    let sum = |of: fn(&demo::SceneRow) -> u64| summary.survived.iter().map(of).sum::<u64>();
    assert_eq!(sum(|row| row.sent), summary.samples_sent);
    assert_eq!(sum(|row| row.stored), summary.samples_stored);
    let struck = summary.survived.iter().filter_map(|row| row.struck);
    assert_eq!(struck.collect::<Vec<_>>(), [(1, 1); 5]);
    let picture = summary.picture();
    assert!(picture.starts_with("<svg ") && picture.contains("The\u{a0}token\u{a0}rotates"));
}

/// Each of the five in which something goes wrong.
fn assert_every_scene_struck(summary: &serde_json::Value) {
    let scenes = summary["scenes"].as_array().unwrap();
    assert_eq!(scenes.len(), 5, "{summary}");
    for scene in scenes {
        assert!(scene["played"].as_u64().unwrap() > 0, "{scene}");
        assert_eq!(scene["struck"], scene["played"], "{scene}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_sender_loses_nothing_and_every_scene_strikes() {
    let summary = summary_of(SenderChoice::BuiltIn, 15).await;
    assert_eq!(summary["samples_lost"], 0, "{summary}");
    assert_eq!(summary["samples_sent"], summary["samples_stored"]);
    assert_eq!(summary["sender"], "built-in sender");
    for counted in ["batches", "samples_sent", "credential_refreshes"] {
        assert!(
            summary[counted].as_u64().unwrap() > 3,
            "{counted}: {summary}"
        );
    }
    assert_every_scene_struck(&summary);
    for seen in ["failed_exchanges", "token_rotations", "amp_403", "amp_500"] {
        assert!(
            summary["seen"][seen].as_u64().unwrap() > 0,
            "{seen}: {summary}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_loses_nothing_and_every_scene_strikes() {
    let summary = summary_of(SenderChoice::Any, 20).await;
    assert_eq!(summary["samples_lost"], 0, "{summary}");
    assert_every_scene_struck(&summary);
    let sender = summary["sender"].as_str().unwrap();
    assert!(
        sender.starts_with("Prometheus"),
        "{sender}: scripts/test brings Prometheus"
    );
    assert!(
        summary["samples_sent"].as_u64().unwrap() > 1000,
        "{summary}"
    );
}
