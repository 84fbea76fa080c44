use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response};
use prost::Message as _;
use remote_write_proto::v1;

use super::*;
use crate::peers::samples::Samples;
use emulator::http::{Bound, Ending, Raw, Reply, Serve, Server};
use emulator::journal::Journal;

/// Answers from a list, then 200; keeps what it was sent.
#[derive(Debug, Default)]
struct Scripted {
    answers: Mutex<VecDeque<Scene>>,
    received: Mutex<Vec<(Scene, Vec<v1::TimeSeries>)>>,
    journal: Journal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    Status(u16),
    Wait(u16, &'static str),
    Reset,
    BreakAfter200,
    /// Says that so many samples are written.
    Written(u16, &'static str),
}

/// What the server answers with; the test keeps the other end.
struct Answers(Arc<Scripted>);

impl Serve for Answers {
    async fn serve(&self, request: Request<Bytes>, peer: SocketAddr) -> Reply {
        assert_eq!(request.headers()["content-encoding"], "snappy");
        assert_eq!(request.uri().path(), "/write");
        let is_v2 = request.headers()["content-type"] != "application/x-protobuf";
        let scene = self.0.answers.lock().unwrap().pop_front();
        let scene = scene.unwrap_or(Scene::Status(200));
        let body = snap::raw::Decoder::new();
        let series = if is_v2 {
            Vec::new()
        } else {
            decode(body, request.body())
        };
        self.0.received.lock().unwrap().push((scene, series));
        let raw = |bytes: &'static [u8]| {
            Reply::Raw(Raw {
                bytes: Bytes::from_static(bytes),
                then: Ending::Reset,
                in_flight: self.0.journal.begin(&request, peer, SystemTime::UNIX_EPOCH),
            })
        };
        let whole = |status: u16, header: Option<&'static str>| {
            let mut response = Response::builder().status(status);
            if let Some(after) = header {
                response = response.header("retry-after", after);
            }
            Reply::Whole(response.body(Bytes::new()).unwrap())
        };
        match scene {
            Scene::Status(status) => whole(status, None),
            Scene::Written(status, samples) => Reply::Whole(
                Response::builder()
                    .status(status)
                    .header("x-prometheus-remote-write-samples-written", samples)
                    .body(Bytes::new())
                    .unwrap(),
            ),
            Scene::Wait(status, after) => whole(status, Some(after)),
            Scene::Reset => raw(b""),
            Scene::BreakAfter200 => raw(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf"),
        }
    }
}

fn decode(mut decoder: snap::raw::Decoder, body: &[u8]) -> Vec<v1::TimeSeries> {
    let mut unpacked = vec![0; snap::raw::decompress_len(body).unwrap()];
    decoder.decompress(body, &mut unpacked).unwrap();
    v1::WriteRequest::decode(unpacked.as_slice())
        .unwrap()
        .timeseries
}

async fn scripted_receiver(answers: &[Scene]) -> (Arc<Scripted>, Server, SenderConfig) {
    let scripted = Arc::new(Scripted {
        answers: Mutex::new(answers.iter().copied().collect()),
        ..Scripted::default()
    });
    let bound = Bound::to((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let url = format!("http://{}/write", bound.address());
    let server = bound.serve(Answers(Arc::clone(&scripted)), None);
    let config = SenderConfig {
        series: 10,
        interval: Duration::from_millis(20),
        shards: 1,
        batch: 10,
        ..SenderConfig::new(url)
    };
    (scripted, server, config)
}

/// Runs until `batches` were received, then finishes.
async fn run(scripted: &Scripted, config: &SenderConfig, batches: usize) -> (SenderStats, Samples) {
    let mut sender = Sender::start(config).unwrap();
    for _ in 0..500 {
        if scripted.received.lock().unwrap().len() >= batches {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(sender.finish(Duration::from_secs(10)).await);
    (sender.sent(), sender.samples())
}

#[tokio::test]
async fn a_batch_is_tried_again_until_it_is_stored() {
    let trouble = [
        Scene::Status(503),
        Scene::Reset,
        Scene::Status(500),
        Scene::Wait(503, "0"),
    ];
    let (scripted, _server, config) = scripted_receiver(&trouble).await;
    let (sent, samples) = run(&scripted, &config, 8).await;
    assert_eq!((sent.retries, sent.lost), (4, 0));
    assert_eq!((sent.delivered, samples.len()), (sent.made, sent.made));
    let received = scripted.received.lock().unwrap();
    // The very same batch, until it was taken.
    assert!(
        received[..5]
            .iter()
            .all(|(_, series)| *series == received[0].1)
    );
    assert_ne!(received[5].1, received[0].1);
    let mut arrived = Samples::new();
    for series in received
        .iter()
        .filter(|(scene, _)| *scene == Scene::Status(200))
        .flat_map(|(_, series)| series)
    {
        let labels = series
            .labels
            .iter()
            .map(|label| (label.name.as_str(), label.value.as_str()));
        let labels = Labels::new(labels);
        assert_eq!(labels.get("cluster"), Some("emulator"));
        arrived.insert(labels, series.samples[0].timestamp, series.samples[0].value);
    }
    assert_eq!(arrived, samples);
}

#[tokio::test]
async fn what_says_never_again_loses_the_batch_and_a_200_is_final() {
    let answers = [
        Scene::Status(400),
        Scene::Status(429),
        Scene::Status(302),
        Scene::BreakAfter200,
    ];
    let (scripted, _server, config) = scripted_receiver(&answers).await;
    let (sent, _) = run(&scripted, &config, 6).await;
    assert_eq!((sent.lost, sent.retries), (30, 0));
    assert_eq!(sent.delivered, sent.made - 30);
}

#[tokio::test]
async fn of_version_2_only_what_is_reported_as_written_is_stored() {
    let answers = [
        Scene::Written(204, "10"),
        Scene::Status(200),
        Scene::Status(415),
        Scene::Written(400, "7"),
        Scene::Status(503),
    ];
    let (scripted, _server, config) = scripted_receiver(&answers).await;
    let config = SenderConfig {
        schema: Schema::V2 { exemplars: true },
        ..config
    };
    let mut sender = Sender::start(&config).unwrap();
    for _ in 0..500 {
        if scripted.received.lock().unwrap().len() >= answers.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let sent = sender.sent();
    assert_eq!((sent.delivered, sent.lost), (17, 23));
    assert!(sender.finish(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_url_that_is_repaired_gets_what_the_wrong_one_did_not_take() {
    let (scripted, _server, config) = scripted_receiver(&[]).await;
    let closed = crate::peers::free_ports::<1>().unwrap()[0];
    let wrong = SenderConfig {
        url: format!("http://{closed}/write"),
        ..config.clone()
    };
    let mut sender = Sender::start(&wrong).unwrap();
    while sender.sent().retries == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(sender.write_to("https://127.0.0.1:1/x").is_err());
    sender.write_to(&config.url).unwrap();
    assert!(sender.finish(Duration::from_secs(10)).await);
    let sent = sender.sent();
    assert_eq!((sent.lost, sent.delivered), (0, sent.made));
    assert!(!scripted.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn finishing_is_bounded_where_nothing_gets_through() {
    let (scripted, server, config) = scripted_receiver(&[]).await;
    drop(server);
    let mut sender = Sender::start(&config).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!sender.finish(Duration::from_millis(300)).await);
    let sent = sender.sent();
    assert!(sent.made > 0 && sent.retries > 0, "{sent:?}");
    assert_eq!((sent.delivered, sent.lost), (0, 0));
    assert!(scripted.received.lock().unwrap().is_empty());
}

#[test]
fn only_plain_http_to_an_address_is_a_target() {
    assert!(WriteTarget::of("http://127.0.0.1:1/x").is_ok());
    for url in [
        "https://127.0.0.1:1/x",
        "http://localhost:1/x",
        "/x",
        "http://127.0.0.1/x",
    ] {
        assert!(WriteTarget::of(url).is_err(), "{url}");
    }
}
