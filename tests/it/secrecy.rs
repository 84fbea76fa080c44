//! Nothing that is shown holds a secret: every log line at TRACE, metrics, probes, error answers.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use emulator::entra::{EntraConfig, TokenVersion};
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, World, WorldConfig};
use tracing_subscriber::fmt::MakeWriter;

use crate::bodies;
use crate::rig::{Rig, V1, text};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Alone in its process under nextest; under plain `cargo test` the lines of other tests are searched as well.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_never_shown() {
    let captured = Captured::default();
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .finish();
    tracing::subscriber::set_global_default(lines).unwrap();

    let settings = [
        ("upstream-timeout", "2s"),
        ("allow-query", "true"),
        ("query-timeout", "2s"),
    ];
    let rig = Rig::start_in(Default::default(), &settings).await;
    rig.until_ready().await;
    let mut shown = String::new();
    let mut say = |status: u16, words: String| shown.push_str(&format!("{status} {words}\n"));
    for kind in [
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
        say(response.status().as_u16(), text(response).await);
        let url = format!("http://{}/api/v1/query?query=up", rig.host);
        let response = crate::rig::client().get(url).send().await.unwrap();
        say(response.status().as_u16(), text(response).await);
    }
    rig.world.faults(Target::Amp).clear();
    // A region of its own makes AMP explain the signature, with the session token in the explanation.
    for (status, words) in amp_sidecar_signing_for_another_region(&rig).await {
        say(status, words);
    }
    for path in ["/readyz", "/metrics", "/livez"] {
        say(0, rig.admin(path).await.1);
    }

    let lines = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(
        lines.contains("TRACE") && lines.contains("credentials renewed"),
        "the log was not captured"
    );
    let token = std::fs::read_to_string(rig.world.token_file()).unwrap();
    let mut secrets = vec![("token", token.trim().to_owned())];
    secrets.push((
        "token's signature",
        token.trim().rsplit('.').next().unwrap().to_owned(),
    ));
    for seen in rig.world.journal(Target::Amp).requests() {
        if let Some(authorization) = seen.headers.get("authorization") {
            let authorization = authorization.to_str().unwrap();
            let signature = authorization.rsplit("Signature=").next().unwrap();
            secrets.push(("signature", signature.to_owned()));
            let key = authorization
                .split("Credential=")
                .nth(1)
                .unwrap()
                .split('/')
                .next()
                .unwrap();
            let session = rig.world.sessions().find(key).unwrap();
            secrets.push(("secret key", session.secret_access_key));
        }
        if let Some(token) = seen.headers.get("x-amz-security-token") {
            secrets.push(("session token", token.to_str().unwrap().to_owned()));
        }
    }
    assert!(secrets.len() > 10, "{}", secrets.len());
    for (what, secret) in secrets {
        assert!(secret.len() > 15, "{what} is too short to be searched for");
        assert!(
            !shown.contains(&secret),
            "the {what} is shown to a sender or a probe"
        );
        if let Some(line) = lines.lines().find(|line| line.contains(&secret)) {
            panic!("the {what} is logged: {line}");
        }
    }
}

/// The assertion, whether Entra takes or quotes it, and the access token, whether STS knows its issuer or quotes it.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_on_their_way_through_entra_are_never_shown() {
    let captured = Captured::default();
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .finish();
    tracing::subscriber::set_global_default(lines).unwrap();

    let claims = "eyJpc3MiOiJodHRwczovL25vYm9keS5leGFtcGxlLyIsInN1YiI6InMiLCJhdWQiOiJhIn0";
    let access_token =
        format!("eyJhbGciOiJSUzI1NiJ9.{claims}.cGxhbnRlZC1zaWduYXR1cmUtb2YtdGhlLXRva2Vu");
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
    let mut shown = String::new();
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
        shown.push_str(&words);
        running.abort();
    }
    shown.push_str(&String::from_utf8(captured.0.lock().unwrap().clone()).unwrap());
    assert!(shown.contains("TRACE"), "the log was not captured");
    for token in [&assertion, &access_token] {
        for part in token.split('.').skip(1) {
            assert!(part.len() > 15);
            if let Some(line) = shown.lines().find(|line| line.contains(part)) {
                panic!("a token is shown: {line}");
            }
        }
    }
}

async fn amp_sidecar_signing_for_another_region(rig: &Rig) -> [(u16, String); 2] {
    use amp_sidecar::app::{App, Stage};
    let mut config = crate::rig::config(&rig.world, &[("allow-query", "true")]);
    config.workspaces[0].region = "us-west-2".to_owned();
    let app = App::start(config, amp_sidecar::clock::Clock::system())
        .await
        .unwrap();
    let address = app.address().unwrap();
    let url = format!("http://{address}/api/v1/write");
    let (_stage, wanted) = tokio::sync::watch::channel(Stage::Serving);
    let running = tokio::spawn(app.run(wanted));
    let client = crate::rig::client();
    let request = client
        .post(url)
        .header("content-encoding", "snappy")
        .header("content-type", V1);
    let response = request.body(bodies::v1("up", 1).body).send().await.unwrap();
    let to_write = (response.status().as_u16(), text(response).await);
    let url = format!("http://{address}/api/v1/query?query=up");
    let response = client.get(url).send().await.unwrap();
    let to_read = (response.status().as_u16(), text(response).await);
    running.abort();
    [to_write, to_read]
}
