//! Each kind of fault, as it looks on the wire, in the open and inside TLS.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, World, WorldConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{End, Received, address, assume, say, say_tls, whole};

const SOON: Duration = Duration::from_millis(700);
const LONG: Duration = Duration::from_secs(10);

struct Scene {
    world: World,
    sts: SocketAddr,
}

impl Scene {
    async fn new() -> Self {
        let world = World::start(WorldConfig::default()).await.expect("a world");
        let sts = address(world.sts_url());
        Self { world, sts }
    }

    /// What a request to STS gets while this fault is on.
    async fn receive(&self, fault: Fault, patience: Duration) -> Received {
        self.world.faults(Target::Sts).set([fault]);
        let request =
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\na=b";
        say(self.sts, request, patience).await
    }

    async fn receive_kind(&self, kind: FaultKind) -> Received {
        self.receive(Fault::new(kind), LONG).await
    }
}

#[tokio::test]
async fn an_answer_can_be_scripted() {
    let scene = Scene::new().await;
    let received = scene
        .receive_kind(FaultKind::Answer {
            status: 503,
            headers: vec![
                ("Retry-After".into(), "90".into()),
                ("x-a".into(), "1".into()),
                ("x-a".into(), "2".into()),
            ],
            body: "busy".into(),
        })
        .await;
    let answer = whole(&received.bytes);
    assert_eq!((answer.status, answer.body.as_str()), (503, "busy"));
    assert_eq!(answer.header("retry-after"), Some("90"));
    assert!(answer.header("date").is_some() && answer.header("x-amzn-requestid").is_some());
    assert_eq!(
        String::from_utf8_lossy(&received.bytes)
            .matches("x-a: ")
            .count(),
        2
    );
    assert!(
        scene.world.sts_calls().is_empty(),
        "the request had no effect"
    );
}

#[tokio::test]
async fn every_status_can_be_scripted() {
    let scene = Scene::new().await;
    for status in 100..600 {
        let received = scene.receive_kind(FaultKind::answer(status, "")).await;
        let expected = format!("HTTP/1.1 {status} ");
        let text = String::from_utf8_lossy(&received.bytes);
        assert!(text.starts_with(&expected), "{status}: {text}");
        assert_eq!(received.end, End::Closed);
    }
}

#[tokio::test]
async fn whoever_speaks_speaks_in_its_own_form() {
    let scene = Scene::new().await;
    let engine = FaultKind::engine("ooo-window-0").expect("the engine has it");
    for (kind, status, content_type, begins) in [
        (
            engine,
            400,
            "text/plain; charset=utf-8",
            "maxFailure (quorum) on a given error family, addr=",
        ),
        (
            FaultKind::plain_text(429, "no"),
            429,
            "text/plain; charset=utf-8",
            "no",
        ),
        (
            FaultKind::html(200, "Log in"),
            200,
            "text/html; charset=utf-8",
            "<!DOCTYPE html>",
        ),
        (
            FaultKind::front_door(429, "ThrottlingException", "Rate exceeded"),
            429,
            "application/json",
            r#"{"message":"Rate exceeded"}"#,
        ),
    ] {
        let name = kind.name();
        let answer = whole(&scene.receive_kind(kind).await.bytes);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some(content_type)),
            "{name}"
        );
        assert!(answer.body.starts_with(begins), "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn redirects_and_useless_xml() {
    let scene = Scene::new().await;
    let location = "http://127.0.0.1:9/".to_owned();
    let received = scene
        .receive_kind(FaultKind::Redirect {
            status: 302,
            location: location.clone(),
        })
        .await;
    let answer = whole(&received.bytes);
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some(location.as_str()))
    );
    let answer = whole(&scene.receive_kind(FaultKind::WrongXml).await.bytes);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/xml"))
    );
    assert!(answer.body.starts_with("<?xml") && !answer.body.contains("Credentials"));
}

#[tokio::test]
async fn a_delay_comes_before_the_true_answer() {
    let scene = Scene::new().await;
    scene
        .world
        .faults(Target::Sts)
        .set([Fault::new(FaultKind::Delay(Duration::from_millis(400)))]);
    let begun = Instant::now();
    assert_eq!(assume(&scene.world, &[]).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_hang_says_nothing_and_counts_as_in_flight() {
    let scene = Scene::new().await;
    let received = scene.receive(Fault::new(FaultKind::Hang), SOON).await;
    assert_eq!((received.bytes.len(), received.end), (0, End::Silent));
    let journal = scene.world.journal(Target::Sts);
    assert_eq!(journal.requests()[0].status, None);
    assert_eq!(journal.requests()[0].fault, Some("hang"));
    // The client has left by now; the server notices.
    for _ in 0..50 {
        if journal.counts().in_flight == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        (journal.counts().in_flight, journal.counts().max_in_flight),
        (0, 1)
    );
}

#[tokio::test]
async fn resets_closes_and_garbage_come_before_any_answer() {
    let scene = Scene::new().await;
    for (kind, bytes, end) in [
        (FaultKind::Reset, "", End::Reset),
        (FaultKind::Close, "", End::Closed),
        (
            FaultKind::Garbage("\u{1}garbage\r\n\r\n".into()),
            "\u{1}garbage\r\n\r\n",
            End::Closed,
        ),
    ] {
        let received = scene.receive_kind(kind.clone()).await;
        assert_eq!(
            (received.bytes.as_slice(), received.end),
            (bytes.as_bytes(), end),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn the_true_answer_can_be_cut_after_any_number_of_bytes() {
    let scene = Scene::new().await;
    for bytes in [1, 17, 150] {
        let received = scene.receive_kind(FaultKind::ResetAfter { bytes }).await;
        assert_eq!((received.bytes.len(), received.end), (bytes, End::Reset));
        assert!(b"HTTP/1.1 404 Not Found".starts_with(&received.bytes[..bytes.min(22)]));
        let received = scene.receive_kind(FaultKind::CutAfter { bytes }).await;
        assert_eq!((received.bytes.len(), received.end), (bytes, End::Closed));
    }
}

#[tokio::test]
async fn bodies_break_off_never_end_or_never_come() {
    let scene = Scene::new().await;
    let status = Some(200);

    let received = scene
        .receive_kind(FaultKind::BrokenBody { status: None })
        .await;
    let text = String::from_utf8(received.bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 404") && received.end == End::Reset);
    let promised = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .expect("a length");
    assert!(promised.parse::<usize>().expect("a number") > body.len());

    let received = scene.receive_kind(FaultKind::EndlessBody { status }).await;
    assert!(received.bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(received.end, End::Endless);

    let received = scene
        .receive(Fault::new(FaultKind::HeaderOnly { status }), SOON)
        .await;
    assert!(
        received.bytes.starts_with(b"HTTP/1.1 200 OK\r\n") && received.bytes.ends_with(b"\r\n\r\n")
    );
    assert_eq!(received.end, End::Silent);
}

#[tokio::test]
async fn a_fault_may_let_the_request_take_effect_first() {
    let scene = Scene::new().await;
    let form = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=p0&RoleArn={}&WebIdentityToken={}",
        scene.world.role_arn(),
        std::fs::read_to_string(scene.world.token_file()).expect("a token"),
    );
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    for (fault, issued) in [
        (Fault::new(FaultKind::Reset), 0),
        (Fault::new(FaultKind::Reset).taking_effect(), 1),
        (Fault::new(FaultKind::BrokenBody { status: Some(500) }), 1),
        (
            Fault::new(FaultKind::BrokenBody { status: Some(500) }).taking_effect(),
            2,
        ),
        (Fault::new(FaultKind::BrokenBody { status: None }), 3),
    ] {
        scene.world.faults(Target::Sts).set([fault.clone()]);
        assert_eq!(say(scene.sts, &request, LONG).await.end, End::Reset);
        assert_eq!(scene.world.sts().calls().issued(), issued, "{fault:?}");
    }
}

#[tokio::test]
async fn connections_can_fail_before_a_request() {
    let scene = Scene::new().await;
    let received = scene
        .receive(Fault::new(FaultKind::ResetOnAccept).times(1), LONG)
        .await;
    assert_eq!((received.bytes.len(), received.end), (0, End::Reset));
    let received = scene
        .receive(Fault::new(FaultKind::StallOnAccept), SOON)
        .await;
    assert_eq!((received.bytes.len(), received.end), (0, End::Silent));
    assert_eq!(scene.world.journal(Target::Sts).total(), 0);
}

#[tokio::test]
async fn a_timeline_runs_by_itself() {
    let scene = Scene::new().await;
    let faults = scene.world.faults(Target::Sts);
    faults.set([
        Fault::new(FaultKind::answer(503, "")).times(2),
        Fault::new(FaultKind::answer(403, ""))
            .after(Duration::from_millis(600))
            .lasting(Duration::from_millis(600)),
    ]);
    let begun = Instant::now();
    let mut statuses = Vec::new();
    for at in [0, 10, 20, 800, 1400] {
        tokio::time::sleep(Duration::from_millis(at).saturating_sub(begun.elapsed())).await;
        statuses.push(assume(&scene.world, &[]).await.status);
    }
    assert_eq!(statuses, [503, 503, 200, 403, 200]);
    assert_eq!(faults.hits(), [2, 1]);
    assert_eq!(
        scene.world.journal(Target::Sts).counts().faults["answer"],
        3
    );
}

#[tokio::test]
async fn a_kept_alive_connection_can_be_closed_as_the_second_request_leaves() {
    let scene = Scene::new().await;
    let request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let mut stream = TcpStream::connect(scene.sts).await.expect("connected");
    let mut chunk = [0; 4096];
    stream.write_all(request).await.expect("sent");
    let length = stream.read(&mut chunk).await.expect("read");
    assert_eq!(whole(&chunk[..length]).status, 404);
    scene
        .world
        .faults(Target::Sts)
        .set([Fault::new(FaultKind::Close).times(1)]);
    stream.write_all(request).await.expect("sent");
    assert_eq!(stream.read(&mut chunk).await.expect("closed"), 0);
    let seen = scene.world.journal(Target::Sts).requests();
    assert_eq!(seen[0].peer, seen[1].peer);
}

#[tokio::test]
async fn faults_work_inside_tls() {
    let scene = Scene::new().await;
    let amp = address(scene.world.amp_url());
    let request = "POST /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    for (kind, length, end) in [
        (FaultKind::Reset, Some(0), End::Reset),
        (FaultKind::Close, Some(0), End::Closed),
        (FaultKind::ResetAfter { bytes: 9 }, Some(9), End::Reset),
        (FaultKind::CutAfter { bytes: 9 }, Some(9), End::Closed),
        (
            FaultKind::BrokenBody { status: Some(200) },
            None,
            End::Reset,
        ),
    ] {
        scene
            .world
            .faults(Target::Amp)
            .set([Fault::new(kind.clone())]);
        let trust = scene.world.certificates().client_config();
        let received = say_tls(amp, trust, request, LONG).await;
        assert_eq!(received.end, end, "{kind:?}");
        assert!(
            length.is_none_or(|length| received.bytes.len() == length),
            "{kind:?}: {received:?}"
        );
    }
    assert_eq!(scene.world.store().stats().batches, 0);
}

#[tokio::test]
async fn connections_end_with_the_world() {
    let scene = Scene::new().await;
    let mut stream = TcpStream::connect(scene.sts).await.expect("connected");
    stream
        .write_all(b"POST / HTTP/1.1\r\n")
        .await
        .expect("sent");
    let folder = scene.world.folder().to_owned();
    assert!(folder.exists());
    drop(scene.world);
    assert!(!folder.exists());
    let mut byte = [0];
    let read = tokio::time::timeout(LONG, stream.read(&mut byte))
        .await
        .expect("in time");
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(TcpStream::connect(scene.sts).await.is_err());
}
