//! A sidecar that other pods can reach: client authentication, and each client's quota.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator::world::WorldConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Identity, StatusCode};
use tempfile::TempDir;
use testbench::peers::compare::arrived;
use testbench::peers::prometheus::{Installed, Prometheus, Setup};
use testbench::peers::sidecar::{Program, Sidecar};
use testbench::peers::source::Source;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::bodies::{self, Batch};
use crate::leak_check::{self, World};
use crate::rig::{Rig, V1, text};

const TOKEN: &str = "a-token-of-some-length";
/// A valid token of another client.
const OTHER: &str = "another-token-of-some-length";

/// A CA that issues certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key for this address, both as PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// The CA file that a peer trusts.
    fn root(&self) -> String {
        self.0.pem()
    }
}

/// The files of a gateway, and the rig behind them.
struct Gateway {
    rig: Rig,
    authority: Authority,
    folder: TempDir,
}

fn put(folder: &Path, (certificate, key): &(String, String)) {
    std::fs::write(folder.join("tls.crt"), certificate).unwrap();
    std::fs::write(folder.join("tls.key"), key).unwrap();
    mark_key(key);
}

/// As PEM, and the private number alone: the rest of the PEM is the same in all keys, or public in the certificate.
fn mark_key(pem: &str) {
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    let der = STANDARD.decode(lines.clone().collect::<String>()).unwrap();
    let (before, number) = (&der[..36], &der[36..68]);
    assert!(before.ends_with(&[4, 32]), "no PKCS #8 of a key for P-256");
    leak_check::mark("private key", number);
    let lines = lines.filter(|line| line.len() > 40);
    lines.for_each(|line| leak_check::mark("private key", line));
}

fn put_tokens(folder: &Path, tokens: &[&str]) {
    std::fs::write(folder.join("token"), tokens.join("\n")).unwrap();
    for token in tokens {
        leak_check::mark("bearer token", token);
    }
}

impl Gateway {
    async fn start(more: &[(&str, &str)]) -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        put(folder.path(), &authority.issue());
        put_tokens(folder.path(), &[TOKEN]);
        leak_check::mark("bearer token", OTHER);
        std::fs::write(folder.path().join("ca.crt"), authority.root()).unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let (certificate, key) = (file("tls.crt"), file("tls.key"));
        let given: Vec<(String, String)> = more
            .iter()
            .map(|(name, value)| {
                (
                    (*name).to_owned(),
                    value.replace("FOLDER", &folder.path().display().to_string()),
                )
            })
            .collect();
        let mut settings = vec![
            ("listen-tls-cert", certificate.as_str()),
            ("listen-tls-key", key.as_str()),
        ];
        settings.extend(
            given
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let world = World::start(WorldConfig::default()).await.unwrap();
        let rig = Rig::start_beside(world, &settings).await;
        rig.until_ready().await;
        Self {
            rig,
            authority,
            folder,
        }
    }

    fn client(&self, root: &str, identity: Option<&(String, String)>) -> reqwest::Client {
        // Any test of the process may run first.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(root.as_bytes()).unwrap()])
            .pool_max_idle_per_host(0)
            .no_proxy();
        if let Some((certificate, key)) = identity {
            let pem = format!("{certificate}{key}");
            client = client.identity(Identity::from_pem(pem.as_bytes()).unwrap());
        }
        client.build().unwrap()
    }

    async fn write(
        &self,
        client: &reqwest::Client,
        token: Option<&str>,
        batch: &Batch,
    ) -> reqwest::Result<StatusCode> {
        let mut request = client
            .post(format!("https://{}/api/v1/write", self.rig.host))
            .header("content-encoding", "snappy")
            .header("content-type", V1)
            .body(batch.body.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        let status = response.status();
        text(response).await;
        Ok(status)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_needs_a_valid_token_and_tokens_rotate() {
    let gateway = Gateway::start(&[("listen-bearer-token-file", "FOLDER/token")]).await;
    let client = gateway.client(&gateway.authority.root(), None);
    let batch = bodies::v1("up", 3);
    let heard = async |token| gateway.write(&client, token, &batch).await.unwrap();
    // A sender retries after 503; a 401 would cost it the batch.
    assert_eq!(heard(None).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(heard(Some(OTHER)).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!gateway.rig.has_stored(&batch));
    assert_eq!(heard(Some(TOKEN)).await, StatusCode::OK);
    assert!(gateway.rig.has_stored(&batch));
    let client_unauthenticated = r#"amp_sidecar_batches_total{outcome="client_unauthenticated"}"#;
    assert_eq!(gateway.rig.count(client_unauthenticated).await, 2);

    let new = "the-next-token-of-some-length";
    put_tokens(gateway.folder.path(), &[TOKEN, new]);
    for _ in 0..200 {
        if heard(Some(new)).await == StatusCode::OK {
            assert_eq!(
                heard(Some(TOKEN)).await,
                StatusCode::OK,
                "both are valid while they rotate"
            );
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the new token was not taken within 5 s");
}

/// A query loses no data, so a wrong token gets 401.
#[tokio::test(flavor = "multi_thread")]
async fn queries_need_the_same_token() {
    let settings = [
        ("listen-bearer-token-file", "FOLDER/token"),
        ("allow-query", "true"),
    ];
    let gateway = Gateway::start(&settings).await;
    let client = gateway.client(&gateway.authority.root(), None);
    let url = format!("https://{}/api/v1/query?query=up", gateway.rig.host);
    for token in [None, Some(OTHER)] {
        let mut request = client.get(&url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        text(response).await;
    }
    let let_in = client.get(&url).bearer_auth(TOKEN).send().await.unwrap();
    assert_ne!(let_in.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_needs_a_certificate_of_the_ca() {
    let gateway = Gateway::start(&[("listen-client-ca", "FOLDER/ca.crt")]).await;
    let root = gateway.authority.root();
    let batch = bodies::v1("up", 3);
    let known = gateway.client(&root, Some(&gateway.authority.issue()));
    assert_eq!(
        gateway.write(&known, None, &batch).await.unwrap(),
        StatusCode::OK
    );
    let stranger = gateway.client(&root, Some(&Authority::new().issue()));
    assert!(gateway.write(&stranger, None, &batch).await.is_err());
    let nobody = gateway.client(&root, None);
    assert!(gateway.write(&nobody, None, &batch).await.is_err());
}

/// One invalid entry must not reject the senders of the other CAs.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_authority_among_good_ones_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.pem");
    let (first, second) = (Authority::new(), Authority::new());
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&file, format!("{bad}{}", first.root())).unwrap();
    let path = file.display().to_string();
    let gateway = Gateway::start(&[("listen-client-ca", &path)]).await;
    let words = format!("--listen-client-ca: certificate 1 of 2 in {path}: ");
    assert!(leak_check::was_shown(&words));
    let root = gateway.authority.root();
    let batch = bodies::v1("up", 3);
    let known = gateway.client(&root, Some(&first.issue()));
    let status = gateway.write(&known, None, &batch).await.unwrap();
    assert_eq!(status, StatusCode::OK);

    std::fs::write(&file, format!("{bad}{}", second.root())).unwrap();
    let next = gateway.client(&root, Some(&second.issue()));
    for _ in 0..200 {
        if gateway.write(&next, None, &batch).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the new authority was not taken within 5 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_rotates_and_half_of_one_changes_nothing() {
    let gateway = Gateway::start(&[]).await;
    let batch = bodies::v1("up", 3);
    let old = gateway.client(&gateway.authority.root(), None);
    let next = Authority::new();
    let new = gateway.client(&next.root(), None);
    let (certificate, key) = next.issue();
    mark_key(&key);

    std::fs::write(gateway.folder.path().join("tls.crt"), &certificate).unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(
        gateway.write(&old, None, &batch).await.is_ok(),
        "a certificate without its key was taken"
    );
    std::fs::write(gateway.folder.path().join("tls.key"), &key).unwrap();
    for _ in 0..200 {
        if gateway.write(&new, None, &batch).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the new certificate was not taken within 5 s");
}

async fn is_ready(admin: SocketAddr) -> io::Result<bool> {
    let mut probe = TcpStream::connect(admin).await?;
    let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    probe.write_all(request).await?;
    let mut response = String::new();
    probe.read_to_string(&mut response).await?;
    Ok(response.starts_with("HTTP/1.1 200 "))
}

/// Balances connections to one address over the gateways, each with its admin port, skipping one that is not ready, like kube-proxy.
async fn service(gateways: Vec<(SocketAddr, SocketAddr)>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let leading = tokio::spawn(async move {
        let mut turn = 0;
        loop {
            let (mut sender, _) = listener.accept().await.unwrap();
            turn += 1;
            let order: Vec<_> = (0..gateways.len())
                .map(|n| gateways[(turn + n) % gateways.len()])
                .collect();
            tokio::spawn(async move {
                for (gateway, admin) in order {
                    if is_ready(admin).await.is_ok_and(|ready| ready)
                        && let Ok(mut gateway) = TcpStream::connect(gateway).await
                    {
                        // If either side closes, so does the other.
                        let _bytes = tokio::io::copy_bidirectional(&mut sender, &mut gateway).await;
                        return;
                    }
                }
            });
        }
    });
    (address, leading)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_gateways_is_killed_under_load_and_nothing_is_missing() {
    one_of_two_gateways_ends(async |doomed| doomed.process_mut().kill().await.unwrap()).await;
}

/// Prometheus keeps its connection, and with it the gateway, for as long as it is let.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_drains_under_load_is_done_long_before_its_timeout() {
    one_of_two_gateways_ends(async |doomed| {
        // Its --drain-timeout is 90 s.
        let stopped = doomed.process_mut().stop(Duration::from_secs(60)).await;
        let log = doomed.log().last_words();
        assert!(stopped.unwrap().is_some(), "{log}");
        assert!(log.contains("no more requests from senders"), "{log}");
    })
    .await;
}

/// Two gateways behind one address; a real Prometheus writes with TLS and token; `end` ends the one that it writes to.
async fn one_of_two_gateways_ends(end: impl AsyncFnOnce(&mut Sidecar)) {
    let seconds = Duration::from_secs;
    let installed = Installed::find(None).await.unwrap();
    let installed = installed.expect("prometheus is not on the PATH: scripts/test brings it");
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    put(folder.path(), &authority.issue());
    std::fs::write(folder.path().join("ca.crt"), authority.root()).unwrap();
    std::fs::write(folder.path().join("token"), TOKEN).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();

    let world = World::start(WorldConfig::default()).await.unwrap();
    let program = Program::Sidecar(Path::new(env!("CARGO_BIN_EXE_amp-sidecar")).to_owned());
    let auth = [
        format!("--listen-tls-cert={}", file("tls.crt")),
        format!("--listen-tls-key={}", file("tls.key")),
        format!("--listen-bearer-token-file={}", file("token")),
    ];
    let flags: Vec<&str> = auth.iter().map(String::as_str).collect();
    let mut doomed = Sidecar::start(&program, &world, &flags).await.unwrap();
    let mut other = Sidecar::start(&program, &world, &flags).await.unwrap();
    let gateways = [&doomed, &other].map(|gateway| (gateway.listen(), gateway.admin()));
    let (address, leading) = service(gateways.to_vec()).await;

    let source = Source::start(200).await.unwrap();
    let mut setup = Setup::new(
        &installed.program,
        source.address(),
        format!("https://{address}/api/v1/write"),
    );
    setup.remote_write = serde_json::json!({
        "authorization": {"credentials_file": file("token")},
        "tls_config": {"ca_file": file("ca.crt")},
        "queue_config": {"batch_send_deadline": "1s"},
    });
    let prometheus = Prometheus::start(setup).await.unwrap();
    let stored = async |sidecar: &Sidecar| {
        let metrics = sidecar.metrics().await.unwrap();
        metrics
            .count("amp_sidecar_batches_total", &[("outcome", "stored")])
            .unwrap()
    };
    for _ in 0..150 {
        if stored(&doomed).await + stored(&other).await > 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Prometheus keeps its connections, so end the gateway of the current one.
    if stored(&other).await > stored(&doomed).await {
        std::mem::swap(&mut doomed, &mut other);
    }
    let by_other = stored(&other).await;
    assert!(
        stored(&doomed).await > 2,
        "{}",
        prometheus.log().last_words()
    );
    end(&mut doomed).await;
    tokio::time::sleep(seconds(8)).await;

    prometheus.stop_scraping().await.unwrap();
    let sent = prometheus.sent().await.unwrap();
    let found = arrived(&sent, world.store(), seconds(30)).await;
    assert_eq!(found.missing, 0, "{found:?}\n{}", other.log().last_words());
    assert!(found.total > 200 * 8, "only {} samples", found.total);
    assert!(
        stored(&other).await > by_other,
        "the other one took nothing"
    );
    leading.abort();
}
