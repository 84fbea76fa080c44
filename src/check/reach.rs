//! Whether the endpoints can be reached: name, TCP, proxy, TLS; and the clock, which an answer of STS tells.

use hyper::{HeaderMap, Uri};

use super::step::StepOutcome;
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
) -> (StepOutcome, Option<()>) {
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
            let broken = StepOutcome::broken(format!("STS {error}"));
            return (broken.remedy(mistake), None);
        }
    };
    let Some(date) = answer.verified_date else {
        let told =
            format!("{url} answers; it does not prove who it is, so that its clock says nothing");
        return (StepOutcome::ok(told), Some(()));
    };
    clock.learn(date);
    let offset = clock.offset_seconds();
    let outcome = if offset == 0.0 {
        StepOutcome::ok(format!(
            "{url} answers, and the clock agrees with this machine's to 30 s"
        ))
    } else {
        let side = if offset > 0.0 { "behind" } else { "ahead of" };
        StepOutcome::warning(format!(
            "{url} answers, but this machine's clock is {:.0} s {side} AWS'",
            offset.abs()
        ))
        .remedy(CLOCK)
    };
    (outcome, Some(()))
}

/// AMP.
pub(super) async fn amp(
    workspace: &Workspace,
    way: &NetworkTransport,
) -> (StepOutcome, Option<()>) {
    let url = &workspace.remote_write_url;
    match dialled(url, way).await {
        Ok(()) => (
            StepOutcome::ok(format!("{url} takes the connection")),
            Some(()),
        ),
        Err(broken) => (broken, None),
    }
}

async fn dialled(url: &Uri, way: &NetworkTransport) -> Result<(), StepOutcome> {
    let Some(dialer) = Dialer::new(url, &way.network, &way.trust) else {
        return Err(StepOutcome::broken(format!("{url} names no host")));
    };
    match dialer.dial().await {
        Ok(_connection) => Ok(()),
        Err(error) => Err(unreached(&error)),
    }
}

/// What a failed connection means.
pub(super) fn unreached(error: &DialError) -> StepOutcome {
    StepOutcome::broken(error.to_string()).remedy(error.mistake())
}
