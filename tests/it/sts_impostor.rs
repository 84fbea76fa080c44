//! Independent implementations of STS: moto answers in its place, and botocore recomputes signatures.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use amp_sidecar::clock::Clock;
use amp_sidecar::config::{Network, RoleSession};
use amp_sidecar::credentials::sts::Sts;
use amp_sidecar::credentials::token::Token;
use amp_sidecar::net::tls::Trust;
use amp_sidecar::net::transport::{NetworkTransport, Transport};
use aws_credential_types::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn session(name: &str) -> RoleSession {
    RoleSession::plain(
        format!("arn:aws:iam::123456789012:role/{name}"),
        Some("prometheus-0.monitoring".to_owned()),
    )
}

/// With all parameters of AssumeRole, and characters that are easily encoded wrong.
fn elaborate() -> RoleSession {
    RoleSession {
        external_id: Some("tenant/7+a=b,c@d:e".to_owned()),
        policy: Some(r#"{"Statement":[{"Effect":"Allow","Action":"aps:RemoteWrite","Resource":"*"}],"Version":"2012-10-17"}"#.to_owned()),
        policy_arns: vec!["arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess".to_owned()],
        source_identity: Some("aks@prod".to_owned()),
        tags: vec![("team".to_owned(), "été".to_owned())],
        ..session("writer")
    }
}

fn sts(endpoint: &str) -> Sts {
    let transport = NetworkTransport {
        trust: Trust::new(&[]).unwrap(),
        network: Network::default(),
    };
    let (client, region) = (transport.client(), "eu-central-1".to_owned());
    Sts::new(endpoint.parse().unwrap(), region, client, Clock::system())
}

/// The interpreter that has the packages of scripts/peers.txt.
pub fn python() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let server = std::env::split_paths(&path)
        .map(|folder| folder.join("moto_server"))
        .find_map(|program| program.canonicalize().ok())
        .expect("moto_server is not on the PATH: scripts/test, or PATH=\"$(scripts/peers):$PATH\", puts it there");
    server.with_file_name("python")
}

struct Moto {
    process: Child,
    endpoint: String,
}

impl Moto {
    async fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let process = Command::new(python().with_file_name("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self {
            process,
            endpoint: format!("http://127.0.0.1:{port}/"),
        };
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
            {
                return moto;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("moto_server did not start within a minute");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn moto_gives_a_session_for_a_token_and_another_for_that() {
    let moto = Moto::start().await;
    let sts = sts(&moto.endpoint);
    let token = Token::of("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzIn0.c2ln").unwrap();
    let first = sts
        .assume_role_with_web_identity(&session("amp"), &token)
        .await
        .unwrap();
    let second = sts
        .assume_role(&elaborate(), &first.credentials)
        .await
        .unwrap();
    assert_ne!(
        first.credentials.access_key_id(),
        second.credentials.access_key_id()
    );
    for obtained in [first, second] {
        assert!(obtained.credentials.access_key_id().starts_with("ASIA"));
        assert!(obtained.credentials.session_token().is_some());
        let expires = obtained.expires.unwrap();
        let life = expires.duration_since(SystemTime::now()).unwrap();
        assert!(
            (Duration::from_secs(870)..=Duration::from_secs(900)).contains(&life),
            "{life:?}"
        );
    }
}

/// The first request, as bytes; the response is empty.
pub async fn capture(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        if body.len() >= length {
            stream
                .write_all(b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n")
                .await
                .unwrap();
            return text;
        }
    }
}

/// The line that a script of Python prints about a request.
pub fn judge(script: &str, arguments: &[&str], request: &[u8]) -> String {
    let mut judge = Command::new(python())
        .arg("-c")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    judge.stdin.take().unwrap().write_all(request).unwrap();
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success());
    let line = String::from_utf8(output.stdout).unwrap();
    line.trim_end().to_owned()
}

#[tokio::test]
async fn botocore_makes_the_same_signature_of_a_call_to_assume_role() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let captured = tokio::spawn(capture(listener));
    let (secret, token) = (
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "IQoJb3JpZ2luX2VjEXAMPLE//+/wEaDA==",
    );
    let by = Credentials::new(
        "ASIAIOSFODNN7EXAMPLE",
        secret,
        Some(token.to_owned()),
        None,
        "test",
    );
    sts(&endpoint)
        .assume_role(&elaborate(), &by)
        .await
        .unwrap_err();
    let request = captured.await.unwrap();
    assert!(
        request.contains("&ExternalId=") && request.contains("&Tags.member.1.Key=team"),
        "{request}"
    );

    let arguments = [&endpoint, secret, "eu-central-1", "sts"];
    let recomputed = judge(
        include_str!("botocore_signature.py"),
        &arguments,
        request.as_bytes(),
    );
    let authorization = request
        .lines()
        .find_map(|line| line.strip_prefix("authorization: "))
        .unwrap();
    assert_eq!(authorization, recomputed);
    let signed = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,";
    assert!(authorization.contains(signed), "{authorization}");
}
