//! A real Prometheus writes through the real program into another one, and promtool queries it through the same port.

use std::path::Path;
use std::time::Duration;

use testbench::peers::prometheus::{Installed, Prometheus, Setup};
use testbench::peers::sidecar::{Program, Sidecar};
use testbench::peers::source::Source;
use tokio::process::Command;

use super::storage::Storage;
use super::{eventually, world_before};
use crate::bodies;
use crate::leak_check::World;

async fn promtool(arguments: &[&str], url: &str, rest: &[&str]) -> String {
    let mut command = Command::new("promtool");
    command.arg("query").args(arguments).arg(url).args(rest);
    let output = command.output().await;
    let output = output.expect("promtool is not on the PATH: scripts/test brings it");
    let (text, wrong) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(
        output.status.success(),
        "{arguments:?} {rest:?}: {text}{wrong}"
    );
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prometheus_writes_promtool_reads_through_the_same_sidecar() {
    let prometheus = Installed::find(None).await.unwrap();
    let prometheus = prometheus.expect("prometheus is not on the PATH: scripts/test brings it");
    let storage = Storage::start().await;
    let world = World::start(world_before(&storage)).await.unwrap();
    let program = Program::Sidecar(Path::new(env!("CARGO_BIN_EXE_amp-sidecar")).to_owned());
    let sidecar = Sidecar::start(&program, &world, &["--allow-query"])
        .await
        .unwrap();
    let source = Source::start(100).await.unwrap();
    let mut setup = Setup::new(&prometheus.program, source.address(), sidecar.write_url());
    setup.scrape_interval = Duration::from_millis(500);
    let writer = Prometheus::start(setup).await.unwrap();
    let here = sidecar.write_url().replace("/api/v1/remote_write", "");
    let there = storage.url("");

    eventually("ten scrapes are stored", async || {
        let found = promtool(&["instant"], &there, &["count_over_time(up[1m]) >= 10"]).await;
        !found.trim().is_empty()
    })
    .await;
    writer.stop_scraping().await.unwrap();
    let now = bodies::now_ms() / 1000;
    let (start, end) = (format!("--start={}", now - 60), format!("--end={now}"));
    let at = |expression: &str| format!("{expression} @ {now}");
    let instant = at(r#"shop_requests_total{code=~"5..",handler!~".*[+ ].*"}"#);
    let sum = format!("sum by (code) (rate(shop_requests_total[30s] @ {now})) * 100");
    for (arguments, rest, words) in [
        (
            vec!["instant"],
            vec![instant.as_str()],
            r#"handler="/articles/10""#,
        ),
        (vec!["instant"], vec![sum.as_str()], r#"{code="500"}"#),
        (
            vec!["range", &start, &end, "--step=5s"],
            vec!["max(shop_queue_seconds) > 0"],
            " @[",
        ),
        (
            vec!["series", "--match=shop_queue_seconds", &start, &end],
            vec![],
            r#"queue="orders-99""#,
        ),
        (
            vec![
                "series",
                "--match={code=\"500\"}",
                "--match=up",
                &start,
                &end,
            ],
            vec![],
            r#"cluster="emulator""#,
        ),
        (vec!["labels", &start, &end], vec!["code"], "200\n500"),
        (
            vec!["labels", &start, &end],
            vec!["__name__"],
            "shop_requests_total",
        ),
    ] {
        let asked = async |url: &str| {
            let text = promtool(&arguments, url, &rest).await;
            if arguments[0] != "instant" {
                return text;
            }
            // The evaluation times differ.
            let bare = |line: &str| line.split(" @[").next().unwrap_or_default().to_owned();
            let lines: Vec<String> = text.lines().map(bare).collect();
            lines.join("\n")
        };
        let through = asked(&here).await;
        assert_eq!(through, asked(&there).await, "{arguments:?} {rest:?}");
        assert!(through.contains(words), "{arguments:?} {rest:?}: {through}");
        println!("{} lines: {arguments:?} {rest:?}", through.lines().count());
    }
    let metrics = sidecar.metrics().await.unwrap();
    let answered = metrics
        .count("amp_sidecar_queries_total", &[("code", "200")])
        .unwrap();
    assert!(answered >= 7, "{answered}");
}
