//! A real forward proxy between the real program and AWS: only the proxy resolves AWS' names, so nothing bypasses it.

use std::path::Path;
use std::time::Duration;

use emulator::entra::{EntraConfig, TokenVersion};
use emulator::world::WorldConfig;
use testbench::peers::process::Process;
use testbench::peers::sidecar::{Program, Sidecar};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

use crate::bodies;
use crate::leak_check::{self, World};
use crate::namespace::in_a_network_of_its_own;
use crate::rig::{V1, client, text};

const AMP: &str = "aps-workspaces.us-east-1.amazonaws.com";
const STS: &str = "sts.us-east-1.amazonaws.com";
const ENTRA: &str = "login.microsoftonline.com";
const CREDENTIALS: &str = "BasicAuth me s3cret-word";

/// A world with AWS' own names.
struct Aws {
    world: World,
    amp: String,
    sts: String,
}

impl Aws {
    async fn start() -> Self {
        Self::of(WorldConfig::default()).await
    }

    async fn of(config: WorldConfig) -> Self {
        let config = WorldConfig {
            sts_https: true,
            names: vec![ENTRA.to_owned()],
            ..config
        };
        let world = World::start(config).await.unwrap();
        leak_check::mark("proxy's password", "s3cret-word");
        leak_check::mark("proxy's password", "bWU6czNjcmV0LXdvcmQ");
        Self {
            amp: world.amp_url().replacen("127.0.0.1", AMP, 1),
            sts: world.sts_url().replacen("127.0.0.1", STS, 1),
            world,
        }
    }

    /// tinyproxy on this port, with its own names.
    async fn proxy(&self, port: u16, settings: &str) -> Process {
        let file = |name: &str, text: String| {
            let path = self.world.folder().join(format!("{name}-{port}"));
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let config = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\n{settings}\n"
        );
        let (config, hosts) = (
            file("tinyproxy", config),
            file("hosts", format!("127.0.0.1 {AMP} {STS} {ENTRA}\n")),
        );
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "sh",
            "-c",
            "mount --bind \"$1\" /etc/hosts && exec tinyproxy -d -c \"$2\"",
            "sh",
            &hosts,
            &config,
        ]);
        let mut proxy = Process::start("tinyproxy", command, &[]).unwrap();
        for _ in 0..200 {
            proxy.check().await.unwrap();
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return proxy;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("tinyproxy does not listen: {}", proxy.log().last_words());
    }

    /// The program with this proxy and these exceptions.
    async fn sidecar(&self, proxy: &str, exceptions: &str) -> Sidecar {
        self.sidecar_with(proxy, exceptions, &[]).await
    }

    async fn sidecar_with(&self, proxy: &str, exceptions: &str, more: &[&str]) -> Sidecar {
        let program = Program::Sidecar(Path::new(env!("CARGO_BIN_EXE_amp-sidecar")).to_owned());
        let flags: [&str; 5] = [
            &format!("--remote-write-url={}", self.amp),
            &format!("--sts-endpoint={}", self.sts),
            &format!("--https-proxy={proxy}"),
            &format!("--no-proxy={exceptions}"),
            "--log-level=trace",
        ];
        let flags = [&flags[..], more].concat();
        Sidecar::start(&program, &self.world, &flags).await.unwrap()
    }

    fn port(url: &str) -> &str {
        let (_, rest) = url.rsplit_once("amazonaws.com:").unwrap();
        rest.split('/').next().unwrap()
    }
}

/// The response to a sender.
async fn write(sidecar: &Sidecar, name: &str) -> (u16, String) {
    let request = client()
        .post(sidecar.write_url())
        .header("content-encoding", "snappy");
    let request = request
        .header("content-type", V1)
        .body(bodies::v1(name, 3).body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), text(response).await)
}

/// The text of `/readyz` once the first exchange has ended.
async fn readiness(sidecar: &Sidecar) -> String {
    for _ in 0..200 {
        let url = format!("http://{}/readyz", sidecar.admin());
        let text = text(client().get(url).send().await.unwrap()).await;
        if text.contains("ok") || text.contains("could not be reached") {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("no exchange within 5 s: {}", sidecar.log().last_words());
}

#[test]
fn a_proxy_leads_to_sts_and_amp_with_its_credentials_and_without() {
    in_a_network_of_its_own(
        "proxies::a_proxy_leads_to_sts_and_amp_with_its_credentials_and_without",
        async {
            let aws = Aws::start().await;
            let open = aws.proxy(3128, "").await;
            let sidecar = aws.sidecar("http://127.0.0.1:3128", "").await;
            assert_eq!(write(&sidecar, "open").await, (200, String::new()));
            for url in [&aws.sts, &aws.amp] {
                let host = url
                    .trim_start_matches("https://")
                    .split('/')
                    .next()
                    .unwrap();
                let asked = format!("CONNECT {host} HTTP/1.1");
                assert!(open.log().contains(&asked), "{}", open.log().last_words());
            }
            assert!(
                sidecar.log().contains("http://127.0.0.1:3128"),
                "the proxy is logged at the start"
            );

            let _closed = aws.proxy(3129, CREDENTIALS).await;
            let sidecar = aws
                .sidecar("http://me:s3cret%2Dword@127.0.0.1:3129", "")
                .await;
            assert_eq!(write(&sidecar, "closed").await, (200, String::new()));
            for secret in ["s3cret", "bWU6czNjcmV0LXdvcmQ="] {
                assert!(!sidecar.log().contains(secret), "{secret} is logged");
            }
        },
    );
}

#[test]
fn a_proxy_that_wants_other_credentials_is_named() {
    in_a_network_of_its_own(
        "proxies::a_proxy_that_wants_other_credentials_is_named",
        async {
            let aws = Aws::start().await;
            let _proxy = aws.proxy(3129, CREDENTIALS).await;
            for (user, words) in [
                (
                    "",
                    "407 Proxy Authentication Required; set the proxy's user and password: --https-proxy http://user:password@host:port",
                ),
                (
                    "me:wr0ngword@",
                    "401 Unauthorized; correct user and password in --https-proxy",
                ),
            ] {
                let sidecar = aws
                    .sidecar(&format!("http://{user}127.0.0.1:3129"), "")
                    .await;
                let text = readiness(&sidecar).await;
                assert!(
                    text.contains(words) && text.contains("proxy http://127.0.0.1:3129"),
                    "{text}"
                );
                assert!(text.contains(&format!("CONNECT {STS}:")), "{text}");
                let (status, heard) = write(&sidecar, "up").await;
                assert_eq!(status, 503);
                for shown in [text, heard, sidecar.log().lines().join("\n")] {
                    assert!(
                        !shown.contains("wr0ngword") && !shown.contains("bWU6d3IwbmdV"),
                        "{shown}"
                    );
                }
            }
        },
    );
}

#[test]
fn a_proxy_that_refuses_a_host_is_named_and_exceptions_go_straight() {
    in_a_network_of_its_own(
        "proxies::a_proxy_that_refuses_a_host_is_named_and_exceptions_go_straight",
        async {
            let aws = Aws::start().await;
            let only_sts = format!("ConnectPort {}", Aws::port(&aws.sts));
            let _proxy = aws.proxy(3128, &only_sts).await;
            let sidecar = aws.sidecar("http://127.0.0.1:3128", "").await;
            let (status, text) = write(&sidecar, "up").await;
            assert_eq!(status, 503);
            let words = format!(
                "proxy http://127.0.0.1:3128: it answered CONNECT {AMP}:{} with 403",
                Aws::port(&aws.amp)
            );
            assert!(
                text.contains(&words) && text.contains("allow host and port in the proxy"),
                "{text}"
            );
            let metrics = sidecar.metrics().await.unwrap();
            let faults = metrics.count("amp_sidecar_upstream_errors_total", &[("reason", "proxy")]);
            assert!(faults.unwrap() >= 1);

            // Only the proxy resolves AWS' names here: a host in --no-proxy is unreachable.
            let sidecar = aws.sidecar("http://127.0.0.1:3128", AMP).await;
            let (status, text) = write(&sidecar, "up").await;
            assert_eq!(status, 503);
            assert!(
                text.contains(&format!("name {AMP} was not resolved")),
                "{text}"
            );
            let sidecar = aws
                .sidecar("http://127.0.0.1:3128", "localhost,.amazonaws.com")
                .await;
            let text = readiness(&sidecar).await;
            assert!(
                text.contains(&format!("name {STS} was not resolved")) && !text.contains("proxy"),
                "{text}"
            );

            // Nobody listens there.
            let sidecar = aws.sidecar("http://127.0.0.1:9", "").await;
            let text = readiness(&sidecar).await;
            assert!(
                text.contains("proxy http://127.0.0.1:9: connection to 127.0.0.1:9"),
                "{text}"
            );
        },
    );
}

#[test]
fn a_proxy_over_tls_is_verified_by_the_same_bundle() {
    in_a_network_of_its_own(
        "proxies::a_proxy_over_tls_is_verified_by_the_same_bundle",
        async {
            let aws = Aws::start().await;
            let _proxy = aws.proxy(3129, CREDENTIALS).await;
            let tls = TlsAcceptor::from(aws.world.certificates().server_config());
            let listener = TcpListener::bind("0.0.0.0:3130").await.unwrap();
            tokio::spawn(async move {
                loop {
                    let (near, _) = listener.accept().await.unwrap();
                    let tls = tls.clone();
                    tokio::spawn(async move {
                        let Ok(mut near) = tls.accept(near).await else {
                            return;
                        };
                        let mut far = TcpStream::connect("127.0.0.1:3129").await.unwrap();
                        drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                    });
                }
            });
            let sidecar = aws
                .sidecar("https://me:s3cret-word@127.0.0.1:3130", "")
                .await;
            assert_eq!(write(&sidecar, "up").await, (200, String::new()));

            // The certificate is not for this name.
            let sidecar = aws
                .sidecar("https://me:s3cret-word@127.0.0.2:3130", "")
                .await;
            let text = readiness(&sidecar).await;
            let words =
                "proxy https://127.0.0.2:3130: TLS with 127.0.0.2: invalid peer certificate";
            assert!(text.contains(words), "{text}");
        },
    );
}

#[test]
fn the_way_to_entra_goes_through_the_proxy_as_well() {
    in_a_network_of_its_own(
        "proxies::the_way_to_entra_goes_through_the_proxy_as_well",
        async {
            let config = WorldConfig::through_entra(EntraConfig {
                https: true,
                ..EntraConfig::new(TokenVersion::V1)
            });
            let aws = Aws::of(config).await;
            let authority = aws.world.entra_url().unwrap();
            let authority = authority.replacen("127.0.0.1", ENTRA, 1);
            let proxy = aws.proxy(3128, CREDENTIALS).await;
            let flag = format!("--azure-authority-host={authority}");
            let url = "http://me:s3cret-word@127.0.0.1:3128";
            let sidecar = aws.sidecar_with(url, "", &[&flag]).await;
            assert_eq!(write(&sidecar, "entra").await, (200, String::new()));
            let asked = format!("CONNECT {ENTRA}:");
            assert!(proxy.log().contains(&asked), "{}", proxy.log().last_words());
        },
    );
}

#[test]
fn a_collector_over_plain_http_is_reached_without_the_proxy() {
    in_a_network_of_its_own(
        "proxies::a_collector_over_plain_http_is_reached_without_the_proxy",
        async {
            let aws = Aws::start().await;
            let _proxy = aws.proxy(3128, "").await;
            for (scheme, words) in [
                ("http", "reached: name collector.example was not resolved"),
                ("https", "reached: proxy http://127.0.0.1:3128: it answered"),
            ] {
                let endpoint = format!("--otlp-endpoint={scheme}://collector.example:4318");
                let quickly = ["--bsp-schedule-delay=50", "--bsp-export-timeout=5000"];
                let flags = [&[endpoint.as_str()], &quickly[..]].concat();
                let sidecar = aws.sidecar_with("http://127.0.0.1:3128", "", &flags).await;
                assert_eq!(write(&sidecar, scheme).await, (200, String::new()));
                let mut tries = 0;
                while !sidecar.log().contains(words) {
                    tries += 1;
                    assert!(tries < 800, "{}", sidecar.log().last_words());
                    tokio::time::sleep(Duration::from_millis(25)).await;
                }
            }
        },
    );
}
