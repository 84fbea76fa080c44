//! Where secrets are most at risk, with the logs of all libraries: peers that quote them, faults, every kind of rejection.
//!
//! The search itself is in [`leak_check`], as for every other test.

use std::collections::HashMap;
use std::time::Duration;

use emulator::container::Platform;
use emulator::credentials_file::GivenKeys;
use emulator::entra::{EntraConfig, TokenVersion};
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bodies;
use crate::leak_check::{self, World};
use crate::logging::Program;
use crate::rig::{self, Rig, V1, text};

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_never_shown() {
    leak_check::libraries_too();
    let settings = [
        ("upstream-timeout", "2s"),
        ("allow-query", "true"),
        ("query-timeout", "2s"),
    ];
    let rig = Rig::start_in(Default::default(), &settings).await;
    rig.until_ready().await;
    // AWS explains a wrong signature by the expected canonical request, which contains the session token.
    let secrets = rig.world.secrets();
    let token = secrets
        .iter()
        .rev()
        .find(|(what, _)| *what == "session token");
    let token = std::str::from_utf8(&token.unwrap().1).unwrap();
    let explained = |divided: &str| {
        let said = format!(
            "The request signature we calculated does not match the signature you provided.{divided}The Canonical String for this request should have been{divided}'POST{divided}x-amz-security-token:{token}'"
        );
        let said = serde_json::json!({ "message": said });
        FaultKind::answer(403, said.to_string())
    };
    for kind in [
        explained("\n\n"),
        explained(" "),
        FaultKind::Delay(Duration::ZERO),
        FaultKind::answer(
            403,
            r#"{"message":"The security token included in the request is expired"}"#,
        ),
        FaultKind::answer(400, "out of order sample"),
        FaultKind::Garbage("nonsense".into()),
        FaultKind::Reset,
        FaultKind::Hang,
    ] {
        rig.world.faults(Target::Amp).set([Fault::new(kind)]);
        let response = rig
            .post("/api/v1/write", V1, bodies::v1("up", 3).body)
            .await;
        text(response).await;
        let url = format!("http://{}/api/v1/query?query=up", rig.host);
        text(rig::client().get(url).send().await.unwrap()).await;
    }
    rig.world.faults(Target::Amp).clear();
    for path in ["/readyz", "/metrics", "/livez", "/", "/status.json"] {
        rig.admin(path).await;
    }
    assert!(leak_check::was_shown("TRACE") && leak_check::was_shown("credentials refreshed"));
    let secrets = rig.world.secrets();
    for what in ["token", "secret key", "session token", "signature"] {
        assert!(secrets.iter().any(|(one, _)| *one == what), "no {what}");
    }
}

/// The assertion, whether Entra accepts or quotes it, and the access token, whether STS knows its issuer or quotes it.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_on_their_way_through_entra_are_never_shown() {
    leak_check::libraries_too();
    let claims = "eyJpc3MiOiJodHRwczovL25vYm9keS5leGFtcGxlLyIsInN1YiI6InMiLCJhdWQiOiJhIn0";
    let access_token =
        format!("eyJhbGciOiJSUzI1NiJ9.{claims}.cGxhbnRlZC1zaWduYXR1cmUtb2YtdGhlLXRva2Vu");
    leak_check::mark("access token", &access_token);
    let granted = format!(r#"{{"token_type": "Bearer", "access_token": "{access_token}"}}"#);
    let entra = EntraConfig::new(TokenVersion::V2);
    let world = World::start(WorldConfig::through_entra(entra))
        .await
        .unwrap();
    let assertion = std::fs::read_to_string(world.token_file()).unwrap();
    let assertion = assertion.trim().to_owned();
    let quoting = format!(
        r#"{{"error": "invalid_client", "error_description": "AADSTS70021: not {assertion}", "error_codes": [70021]}}"#
    );
    let sts_quoting = format!(
        "<ErrorResponse><Error><Code>ValidationError</Code><Message>Value '{access_token}' at 'webIdentityToken' failed</Message></Error></ErrorResponse>"
    );
    for (at_entra, at_sts, expected) in [
        (
            FaultKind::answer(401, &quoting),
            None,
            "AADSTS70021: not [withheld]",
        ),
        (
            FaultKind::answer(200, &granted),
            None,
            "No OpenIDConnect provider",
        ),
        (
            FaultKind::answer(200, &granted),
            Some(FaultKind::answer(400, &sts_quoting)),
            "Value '[withheld]' at",
        ),
    ] {
        world.faults(Target::Entra).set([Fault::new(at_entra)]);
        world.faults(Target::Sts).set(at_sts.map(Fault::new));
        let config = crate::rig::config(&world, &[]);
        let app = amp_sidecar::app::App::start(config, amp_sidecar::clock::Clock::system())
            .await
            .unwrap();
        let ready = format!("http://{}/readyz", app.admin_address().unwrap());
        let (_stage, wanted) = tokio::sync::watch::channel(amp_sidecar::app::Stage::Serving);
        let running = tokio::spawn(app.run(wanted));
        let client = crate::rig::client();
        let mut words = String::new();
        for _ in 0..100 {
            words = text(client.get(&ready).send().await.unwrap()).await;
            if words.contains(expected) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(words.contains(expected), "{expected}: {words}");
        running.abort();
    }
    assert!(leak_check::was_shown("TRACE") && leak_check::was_shown("[withheld]"));
}

/// The token on its way to a container's endpoint that quotes it, the keys in its answers and in a file, and static keys.
#[tokio::test(flavor = "multi_thread")]
async fn what_other_sources_give_and_take_is_never_shown() {
    leak_check::libraries_too();
    for config in [
        WorldConfig::in_container(Platform::PodIdentity),
        WorldConfig::with_keys(GivenKeys::File),
        WorldConfig::with_keys(GivenKeys::Static),
    ] {
        let world = World::start(config).await.unwrap();
        let token = std::fs::read_to_string(world.token_file()).unwrap();
        let said = format!("Service account token cannot be parsed: {token}");
        let key = r#"{"AccessKeyId": "", "SecretAccessKey": "planted-secret-key-of-some-length"}"#;
        leak_check::mark("secret key", "planted-secret-key-of-some-length");
        let quoting = Fault::new(FaultKind::answer(400, &said)).times(1);
        let broken = Fault::new(FaultKind::answer(200, key)).times(1);
        world.faults(Target::Container).set([quoting, broken]);
        let rig = Rig::start_beside(world, &[]).await;
        let batch = bodies::v1("up", 3);
        rig.write_until_stored(&batch, Duration::from_secs(20))
            .await;
        for path in ["/readyz", "/metrics", "/", "/status.json"] {
            rig.admin(path).await;
        }
        let report = crate::check::run(&rig.world, &[], None).await;
        assert!(report.is_whole(), "{}", report.text(false));
        // A file with a key where a section belongs.
        let file = rig.world.credentials_file().to_owned();
        if let Ok(text) = std::fs::read_to_string(&file) {
            std::fs::write(&file, text.replace("aws_secret_access_key = ", "")).unwrap();
            let report = crate::check::run(&rig.world, &[], None).await;
            assert!(
                report
                    .text(false)
                    .contains("neither [section] nor name = value")
            );
        }
    }
    assert!(leak_check::was_shown("cannot be parsed: [withheld]"));
}

/// Everything that the binary logs, from its first line to its last, at every level.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_at_trace_shows_none() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    let more = ["--log-level", "trace", "--allow-query"];
    let mut program = Program::start(&world, &more);
    let listening = program.until_said("listening", None).await;
    program.until_said("credentials refreshed", None).await;
    let host = listening["listen"].as_str().unwrap();
    for body in [bodies::v1("up", 3).body, b"nonsense".to_vec()] {
        let request = rig::client().post(format!("http://{host}/api/v1/write"));
        let request = request.header("content-encoding", "snappy");
        let request = request.header("content-type", V1).body(body);
        text(request.send().await.unwrap()).await;
    }
    let query = format!("http://{host}/api/v1/query?query=up");
    text(rig::client().get(query).send().await.unwrap()).await;
    program.signal("-HUP");
    program.until_said("configuration reloaded", None).await;
    program.leave();
    program.until_said("stopped", None).await;
}

/// A proxy that returns what it was sent, in its status line, its headers and its body.
async fn quoting_proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let said = head
                .lines()
                .find_map(|line| {
                    line.strip_prefix("Proxy-Authorization: ")
                        .or(line.strip_prefix("proxy-authorization: "))
                })
                .unwrap_or("nothing");
            let answer = format!(
                "HTTP/1.1 407 not {said}\r\nx-said: {said}\r\ncontent-length: {}\r\n\r\n{said}",
                said.len()
            );
            let _told = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// Neither to the sender nor to any server, though STS and AMP are both behind it.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_a_proxy_that_quotes_it_is_never_shown() {
    leak_check::libraries_too();
    let password = "pr0xy-passw0rd-of-some-length";
    leak_check::mark("proxy's password", password);
    // As in Proxy-Authorization, after the user `use`.
    let encoded = "dXNlOnByMHh5LXBhc3N3MHJkLW9mLXNvbWUtbGVuZ3Ro";
    leak_check::mark("proxy's password", encoded);
    let world = World::start(WorldConfig::default()).await.unwrap();
    let mut env: HashMap<_, _> = world.environment().into_iter().collect();
    env.remove("AMP_SIDECAR_REMOTE_WRITE_URL");
    let proxy = format!("http://use:{password}@{}", quoting_proxy().await);
    let settings = [
        ("https-proxy", proxy.as_str()),
        ("amp-endpoint", "https://amp.example.invalid"),
        ("sts-endpoint", "https://sts.example.invalid"),
    ];
    let rig = Rig::serve(world, rig::config_of(&env, &settings)).await;
    let batch = bodies::v1("up", 1).body;
    let response = rig.post("/api/v1/write", V1, batch).await;
    assert_eq!(response.status().as_u16(), 503);
    let words = text(response).await;
    assert!(words.contains("407"), "the proxy was not asked: {words}");
    for path in ["/readyz", "/metrics", "/", "/status.json"] {
        rig.admin(path).await;
    }
    assert!(leak_check::was_shown("no AWS credentials yet"));
}
