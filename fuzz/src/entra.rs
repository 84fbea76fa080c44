//! Whatever answers in the place of Entra or of a machine's metadata server: only what looks like a token comes of it, and no word of it shows a secret or more
//! than a line.

use std::cell::OnceCell;

use amp_sidecar::clock::Clock;
use amp_sidecar::config;
use amp_sidecar::credentials::entra::Entra;
use amp_sidecar::credentials::metadata::{self, Cloud};
use amp_sidecar::credentials::token::Token;
use amp_sidecar::net::client::HttpResponse;
use hyper::StatusCode;

use super::sts::{TOKEN, client, withholds_the_token};
use super::{is_fit_to_be_shown, withholds};

thread_local! {
    static ENTRA: OnceCell<Entra> = const { OnceCell::new() };
}

/// The first byte chooses the status, the rest is the answer's body.
pub fn holds(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else {
        return;
    };
    let status = [200, 400, 401, 429, 500, 302][usize::from(*choice) % 6];
    let status = StatusCode::from_u16(status).unwrap();
    ENTRA.with(|entra| read(entra.get_or_init(new), status, body));
    for cloud in [Cloud::Azure, Cloud::Google] {
        read_of_a_machine(cloud, status, body);
    }
}

fn read_of_a_machine(cloud: Cloud, status: StatusCode, body: &[u8]) {
    let flavor = ("metadata-flavor", "Google");
    let flavor = (flavor.0.parse().unwrap(), flavor.1.parse().unwrap());
    let answer = HttpResponse::new(status, None, body.to_vec());
    let answer = answer.with_headers([flavor].into_iter().collect());
    match metadata::read(cloud, &answer) {
        Ok(token) => {
            assert!(status.is_success());
            withholds(&format!("{token:?}"), token.expose());
        }
        Err(error) => {
            is_fit_to_be_shown(&error.to_string());
            let families = ["imds_", "gce_", "entra_"];
            assert!(
                families
                    .iter()
                    .any(|family| error.name().starts_with(family))
            );
        }
    }
}

fn new() -> Entra {
    let application = config::EntraConfig {
        token_file: "/token".into(),
        authority_host: "https://login.invalid/".parse().unwrap(),
        tenant_id: "contoso.onmicrosoft.com".to_owned(),
        client_id: "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a".to_owned(),
        scope: "api://amp/.default".to_owned(),
    };
    Entra::new(application, client(), Clock::system())
}

fn read(entra: &Entra, status: StatusCode, body: &[u8]) {
    let assertion = Token::of(TOKEN).unwrap();
    let answer = HttpResponse::new(status, None, body.to_vec());
    match entra.read(&answer, &assertion) {
        Ok(token) => {
            assert!(status.is_success());
            assert_eq!(token.expose().split('.').count(), 3);
            withholds(&format!("{token:?}"), token.expose());
        }
        Err(error) => {
            withholds_the_token(&error);
            assert!(error.name().starts_with("entra_") || error.name().starts_with("AADSTS"));
        }
    }
}
