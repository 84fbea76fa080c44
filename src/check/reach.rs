//! Whether the endpoints are reachable (name, TCP, proxy, TLS), and the clock, by the `Date` of STS.

use std::time::SystemTime;

use hyper::{HeaderMap, Uri};

use super::step::StepOutcome;
use crate::clock::Clock;
use crate::config::{IdentityConfig, Workspace};
use crate::credentials::remedy;
use crate::net::client::HttpClient;
use crate::net::connect::Connectors;
use crate::net::transport::NetworkTransport;
use crate::remedies::first_hour::CLOCK;

/// Also gives the `Date` of a verified response.
pub(super) async fn sts(
    identity: &IdentityConfig,
    client: &HttpClient,
) -> (StepOutcome, Option<Option<SystemTime>>) {
    let url = &identity.sts_endpoint;
    // A call without an action gets an error, which has the `Date`.
    let answer = match client.post(url, HeaderMap::new(), String::new()).await {
        Ok(answer) => answer,
        Err(error) => {
            let broken = StepOutcome::broken(format!("STS {error}"));
            let remedy = remedy::unanswered(&error, &identity.sts_region);
            return (broken.advise(&remedy), None);
        }
    };
    let evidence = format!("{url} answers");
    (StepOutcome::ok(evidence), Some(answer.verified_date))
}

/// This machine's clock against the `Date` in the response of `url`.
pub(super) fn clock(
    url: &Uri,
    date: Option<SystemTime>,
    clock: &Clock,
) -> (StepOutcome, Option<()>) {
    let Some(date) = date else {
        let why = if url.scheme_str() == Some("http") {
            "plain HTTP: clock not checked"
        } else {
            "no Date in the response of AWS: clock not checked"
        };
        return (StepOutcome::skipped(why), None);
    };
    clock.learn(date);
    let offset = clock.offset_seconds();
    let outcome = if offset == 0.0 {
        StepOutcome::ok("this machine's clock is within 30 s of AWS'")
    } else {
        let side = if offset > 0.0 { "behind" } else { "ahead of" };
        StepOutcome::warning(format!(
            "this machine's clock is {:.0} s {side} AWS'",
            offset.abs()
        ))
        .remedy(CLOCK)
    };
    (outcome, Some(()))
}

pub(super) async fn amp(
    workspace: &Workspace,
    way: &NetworkTransport,
) -> (StepOutcome, Option<()>) {
    let url = &workspace.remote_write_url;
    let Some(connector) = way.connector(url) else {
        return (StepOutcome::broken(format!("{url} has no host")), None);
    };
    match connector.connect().await {
        Ok(_) => (
            StepOutcome::ok(format!("{url} accepts connections")),
            Some(()),
        ),
        Err(error) => {
            let broken = StepOutcome::broken(error.to_string());
            (broken.remedy(error.remedy()), None)
        }
    }
}
