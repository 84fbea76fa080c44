//! Accepted batches, as a real Prometheus on the PATH gets them.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use emulator::amp::{
    AmpConfig,
    proto::{v1, v2},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::world::{V1, World, named, packed, series};

/// Ends with the test that started it.
pub(crate) struct Prometheus {
    process: Child,
    pub(crate) port: u16,
}

impl Prometheus {
    /// Starts on `port` with an empty database and waits until it is ready.
    pub(crate) async fn start(port: u16) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("prometheus-{port}"));
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("prometheus.yml"),
            "storage: {tsdb: {out_of_order_time_window: 60s}}\n",
        )
        .unwrap();
        let process = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args([
                "--web.enable-remote-write-receiver",
                "--enable-feature=native-histograms",
                "--log.level=warn",
            ])
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .expect("a prometheus on the PATH");
        let prometheus = Self { process, port };
        for _ in 0..300 {
            if prometheus
                .get("/-/ready")
                .await
                .is_some_and(|answer| answer.starts_with("HTTP/1.0 200"))
            {
                return prometheus;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "prometheus is not ready after 30 s: {}",
            fs::read_to_string(folder.join("log")).unwrap()
        );
    }

    async fn get(&self, target: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream
            .write_all(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes())
            .await
            .ok()?;
        let mut text = String::new();
        timeout(Duration::from_secs(10), stream.read_to_string(&mut text))
            .await
            .ok()?
            .ok()?;
        Some(text)
    }

    /// `[[seconds, value], …]` of the last hour of the only series of a metric, floats or histograms.
    async fn points(&self, world: &World, metric: &str, kind: &str) -> serde_json::Value {
        let time = world.now_ms() / 1000 + 10;
        let answer = self
            .get(&format!("/api/v1/query?query={metric}%5B1h%5D&time={time}"))
            .await
            .unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["data"]["result"][0][kind].clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill().expect("prometheus was still running");
        self.process.wait().expect("prometheus ended");
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn world(port: u16) -> World {
    let forward_to = Some(format!("http://127.0.0.1:{port}/api/v1/write"));
    World::with(AmpConfig {
        forward_to,
        ..AmpConfig::default()
    })
}

#[tokio::test]
async fn a_real_prometheus_gets_what_was_accepted() {
    let prometheus = Prometheus::start(free_port()).await;
    let world = world(prometheus.port);
    let now = world.now_ms();
    let second = now / 1000;
    world
        .send_v1(vec![series("up", &[(now - 10_000, 1.0), (now, 2.0)])])
        .await
        .assert_ok();
    // Prometheus itself would refuse each of these as a whole.
    world
        .send_v1(vec![series("up", &[(now, 2.0), (now + 1000, 3.0)])])
        .await
        .assert_ok();
    let partly = world
        .send_v1(vec![series("up", &[(now, 9.0), (now + 2000, 4.0)])])
        .await;
    assert_eq!(partly.status, 400, "{}", partly.text);
    // Out of order, within the window.
    world
        .send_v1(vec![series("up", &[(now - 5000, 1.5)])])
        .await
        .assert_ok();
    // Version 2, which 2.42 does not know.
    let symbols = ["", "__name__", "up", "job", "test", "histogram"]
        .map(str::to_owned)
        .to_vec();
    let sample = v2::Sample {
        value: 5.0,
        timestamp: now + 3000,
        start_timestamp: 0,
    };
    let histogram = v2::Histogram {
        count: Some(v2::histogram::Count::CountInt(3)),
        sum: 4.0,
        zero_threshold: 0.001,
        zero_count: Some(v2::histogram::ZeroCount::ZeroCountInt(1)),
        positive_spans: vec![v2::BucketSpan {
            offset: 0,
            length: 1,
        }],
        positive_deltas: vec![2],
        timestamp: now,
        ..Default::default()
    };
    let timeseries = vec![
        v2::TimeSeries {
            labels_refs: vec![1, 2, 3, 4],
            samples: vec![sample],
            ..Default::default()
        },
        v2::TimeSeries {
            labels_refs: vec![1, 5, 3, 4],
            histograms: vec![histogram],
            ..Default::default()
        },
    ];
    world
        .send_v2(&v2::Request {
            symbols,
            timeseries,
        })
        .await
        .assert_ok();

    let expected = serde_json::json!([
        [second - 10, "1"],
        [second - 5, "1.5"],
        [second, "2"],
        [second + 1, "3"],
        [second + 2, "4"],
        [second + 3, "5"]
    ]);
    assert_eq!(prometheus.points(&world, "up", "values").await, expected);
    let histograms = prometheus.points(&world, "histogram", "histograms").await;
    assert_eq!(
        (&histograms[0][0], &histograms[0][1]["sum"]),
        (&serde_json::json!(second), &serde_json::json!("4"))
    );
    assert_eq!(world.amp.store().stats().samples, 6);
}

#[tokio::test]
async fn what_prometheus_does_not_have_is_not_accepted() {
    let port = free_port();
    let world = world(port);
    let now = world.now_ms();
    let batch = || vec![series("up", &[(now, 1.0)])];
    let unreachable = world.send_v1(batch()).await;
    let text = "Internal server error: cannot reach the real Prometheus: ";
    unreachable.assert_aws(500, "InternalServerException", "message", text);
    assert_eq!(world.amp.store().stats().batches, 0);

    let prometheus = Prometheus::start(port).await;
    world.send_v1(batch()).await.assert_ok();
    assert_eq!(
        prometheus.points(&world, "up", "values").await,
        serde_json::json!([[now / 1000, "1"]])
    );
    let stats = world.amp.store().stats();
    assert_eq!((stats.samples, stats.duplicates), (1, 0));

    // A second AMP does not know what the first has passed on, but Prometheus does.
    let second = self::world(port);
    let refused = second.send_v1(vec![series("up", &[(now, 7.0)])]).await;
    let text = "Internal server error: the real Prometheus answered 400 Bad Request: duplicate sample for timestamp";
    refused.assert_aws(500, "InternalServerException", "message", text);
    assert!(!second.amp.store().contains(&named("up"), now));
}

#[tokio::test]
async fn nothing_new_is_not_forwarded() {
    let world = world(free_port());
    world
        .send(V1, packed(&v1::WriteRequest::default()))
        .await
        .assert_ok();
    let refused = world
        .send_v1(vec![series("not-a-name", &[(world.now_ms(), 1.0)])])
        .await;
    assert_eq!(
        refused.status, 400,
        "nothing good was in it, so nobody was connected to: {}",
        refused.text
    );
}

#[tokio::test]
async fn only_plain_http_is_forwarded_to() {
    for url in [
        "https://127.0.0.1:1/api/v1/write",
        "127.0.0.1:1",
        "/api/v1/write",
        "",
    ] {
        let world = World::with(AmpConfig {
            forward_to: Some(url.into()),
            ..AmpConfig::default()
        });
        let answer = world
            .send_v1(vec![series("up", &[(world.now_ms(), 1.0)])])
            .await;
        let text = format!("Internal server error: {url:?} is not a plain http URL");
        answer.assert_aws(500, "InternalServerException", "message", &text);
    }
}
