//! Whether the endpoints can be reached: name, TCP, proxy, TLS; and the clock, which an answer of STS tells.

use hyper::{HeaderMap, Uri};

use super::step::Outcome;
use crate::clock::Clock;
use crate::config::{Identity, Workspace};
use crate::net::client::{CallError, Caller};
use crate::net::connect::{DialError, Dialer};
use crate::net::transport::NetworkTransport;
use crate::remedies::{CLOCK, STS_FOREIGN, STS_TROUBLE};

/// STS, and what its clock says.
pub(super) async fn sts(
    identity: &Identity,
    way: &NetworkTransport,
    caller: &Caller,
    clock: &Clock,
) -> (Outcome, Option<()>) {
    let url = &identity.sts_endpoint;
    if let Err(broken) = dialled(url, way).await {
        return (broken, None);
    }
    // A call without an action is refused, and the refusal bears the time.
    let answer = match caller.post(url, HeaderMap::new(), String::new()).await {
        Ok(answer) => answer,
        Err(error) => {
            let mistake = match error {
                CallError::TimedOut => STS_TROUBLE,
                _ => STS_FOREIGN,
            };
            let broken = Outcome::broken(format!("STS {error}"));
            return (broken.mend(mistake), None);
        }
    };
    let Some(date) = answer.verified_date else {
        let told =
            format!("{url} answers; it does not prove who it is, so that its clock says nothing");
        return (Outcome::ok(told), Some(()));
    };
    clock.learn(date);
    let offset = clock.offset_seconds();
    let outcome = if offset == 0.0 {
        Outcome::ok(format!(
            "{url} answers, and the clock agrees with this machine's to 30 s"
        ))
    } else {
        let side = if offset > 0.0 { "behind" } else { "ahead of" };
        Outcome::warning(format!(
            "{url} answers, but this machine's clock is {:.0} s {side} AWS'",
            offset.abs()
        ))
        .mend(CLOCK)
    };
    (outcome, Some(()))
}

/// AMP.
pub(super) async fn amp(workspace: &Workspace, way: &NetworkTransport) -> (Outcome, Option<()>) {
    let url = &workspace.remote_write_url;
    match dialled(url, way).await {
        Ok(()) => (Outcome::ok(format!("{url} takes the connection")), Some(())),
        Err(broken) => (broken, None),
    }
}

async fn dialled(url: &Uri, way: &NetworkTransport) -> Result<(), Outcome> {
    let Some(dialer) = Dialer::new(url, &way.network, &way.trust) else {
        return Err(Outcome::broken(format!("{url} names no host")));
    };
    match dialer.dial().await {
        Ok(_connection) => Ok(()),
        Err(error) => Err(unreached(&error)),
    }
}

/// What a failed connection means.
pub(super) fn unreached(error: &DialError) -> Outcome {
    Outcome::broken(error.to_string()).mend(error.mistake())
}
