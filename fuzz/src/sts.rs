//! Whatever answers in the place of STS: only credentials that can be used for a while come of it, and no word of it shows a
//! secret or more than a line.

use std::cell::OnceCell;
use std::fmt;
use std::time::{Duration, SystemTime};

use amp_sidecar::clock::Clock;
use amp_sidecar::config::{ContainerConfig, Network, RoleSession};
use amp_sidecar::credentials::container::Container;
use amp_sidecar::credentials::sts::{SessionCredentials, Sts};
use amp_sidecar::net::client::{HttpClient, HttpResponse};
use amp_sidecar::net::tls::Trust;
use amp_sidecar::net::transport::{NetworkTransport, Transport};
use hyper::StatusCode;
use hyper::header::HeaderValue;

use super::{is_fit_to_be_shown, withholds};

/// What was shown to STS, and what it may quote.
pub const TOKEN: &str =
    "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2kvIiwic3ViIjoicyIsImV4cCI6MX0.c2ln";
const AN_HOUR: Duration = Duration::from_secs(3600);

thread_local! {
    static STS: OnceCell<Sts> = const { OnceCell::new() };
    static CONTAINER: OnceCell<Container> = const { OnceCell::new() };
}

/// A client that is never asked to call anybody.
pub fn client() -> HttpClient {
    let transport = NetworkTransport {
        trust: Trust::new(&[]).unwrap(),
        network: Network::default(),
    };
    transport.client()
}

/// The first byte chooses the status, the rest is the answer's body.
pub fn holds(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else {
        return;
    };
    let status = [200, 400, 403, 500, 503, 302][usize::from(*choice) % 6];
    let status = StatusCode::from_u16(status).unwrap();
    STS.with(|sts| read(sts.get_or_init(new), status, body));
    CONTAINER.with(|container| ask(container.get_or_init(of_a_container), status, body));
}

fn of_a_container() -> Container {
    let config = ContainerConfig {
        endpoint: "http://127.0.0.1:9/".parse().unwrap(),
        authorization: None,
    };
    Container::new(config, client(), Clock::system())
}

/// The same in the place of a container's agent, which got the same token.
fn ask(container: &Container, status: StatusCode, body: &[u8]) {
    let answer = HttpResponse::new(status, None, body.to_vec());
    let before = SystemTime::now();
    match container.read(&answer, Some(&HeaderValue::from_static(TOKEN))) {
        Ok(obtained) => {
            assert!(status.is_success());
            are_usable(&obtained, before, 12 * AN_HOUR);
        }
        Err(error) => {
            withholds_the_token(&error);
            assert!(error.name().starts_with("container_"));
        }
    }
}

fn new() -> Sts {
    let endpoint = "https://sts.invalid/".parse().unwrap();
    Sts::new(
        endpoint,
        "eu-central-1".to_owned(),
        client(),
        Clock::system(),
    )
}

fn read(sts: &Sts, status: StatusCode, body: &[u8]) {
    let session = RoleSession {
        duration: AN_HOUR,
        ..RoleSession::plain(
            "arn:aws:iam::111122223333:role/amp".to_owned(),
            Some("fuzz".to_owned()),
        )
    };
    let before = SystemTime::now();
    let answer = HttpResponse::new(status, None, body.to_vec());
    match sts.read(&answer, &session, TOKEN) {
        Ok(obtained) => {
            assert!(status.is_success());
            are_usable(&obtained, before, AN_HOUR);
            assert_eq!(obtained.credentials.expiry(), obtained.expires);
        }
        Err(error) => {
            withholds_the_token(&error);
            assert!(error.hop_name().ends_with(error.name()));
        }
    }
}

/// Keys that can be sent, for at most so long, and shown nowhere.
fn are_usable(obtained: &SessionCredentials, before: SystemTime, longest: Duration) {
    let keys = &obtained.credentials;
    for text in [keys.access_key_id(), keys.session_token().unwrap()] {
        assert!(!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()));
    }
    assert!(!keys.secret_access_key().is_empty());
    let expires = obtained.expires.unwrap();
    assert!(expires > before && expires <= SystemTime::now() + longest);
    let shown = format!("{obtained:?}");
    if keys.secret_access_key().len() > 40 {
        assert!(!shown.contains(keys.secret_access_key()));
    }
}

/// Neither for a person nor for a log.
pub fn withholds_the_token(error: &(impl fmt::Display + fmt::Debug)) {
    let shown = error.to_string();
    is_fit_to_be_shown(&shown);
    withholds(&shown, TOKEN);
    withholds(&format!("{error:?}"), TOKEN);
}
