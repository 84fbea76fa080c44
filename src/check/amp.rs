//! One empty batch, signed and written: the whole pipeline of `run`, with the session that was just given.
//!
//! A `WriteRequest` without series is valid remote write, and one byte of snappy. AMP must take signature, permission and
//! workspace before it can see that there is nothing to store; nothing is stored, so that no label, no limit and no
//! timestamp of a real series is touched.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::reach;
use super::step::Outcome;
use crate::batch::Pipeline;
use crate::clock::Clock;
use crate::config::{RoleSession, Workspace};
use crate::credentials::cache::{self, Failure, Source};
use crate::credentials::sts::{Obtained, Pace};
use crate::net::pool::TransportFault;
use crate::net::transport::NetworkTransport;
use crate::outcome::verdict::Verdict;
use crate::remedies::{
    AMP_CREDENTIALS, AMP_REFUSAL, AMP_TROUBLE, CONNECTION_SILENT, REGION_WRONG, ROLE_PERMISSION,
    WORKSPACE_UNKNOWN,
};
use crate::remote_write::payload::EMPTY;
use crate::setup::policy::Account;
use crate::telemetry::Meters;
use crate::telemetry::incidents::{BATCHES, CREDENTIALS, Journal, Told, Watch};

/// The session at hand, whenever one is asked for.
struct AtHand(Obtained);

impl Source for AtHand {
    type Error = Infallible;

    async fn obtain(&self) -> Result<Obtained, Infallible> {
        Ok(self.0.clone())
    }

    fn session(&self) -> Option<&RoleSession> {
        None
    }
}

impl Failure for Infallible {
    fn name(&self) -> &'static str {
        match *self {}
    }

    fn pace(&self) -> Pace {
        match *self {}
    }

    fn told(&self) -> Told {
        match *self {}
    }
}

/// Writes nothing, with a signature.
pub(super) async fn empty_write(
    workspace: &Workspace,
    way: &NetworkTransport,
    session: Obtained,
    clock: &Clock,
    meters: Arc<Meters>,
) -> (Outcome, Option<()>) {
    let watch = |subject| Watch::over(subject, Some(&workspace.name), &Journal::default(), clock);
    let (credentials, refresher) = cache::cache(
        AtHand(session),
        clock.clone(),
        Arc::clone(&meters),
        watch(&CREDENTIALS),
    );
    let batches = watch(&BATCHES);
    let pipeline = Pipeline::new(workspace, way, credentials, clock.clone(), meters, batches);
    let pipeline = match pipeline {
        Ok(pipeline) => pipeline,
        Err(error) => return (Outcome::broken(error.to_string()), None),
    };
    let mut request = Request::new(Full::new(Bytes::from_static(EMPTY)));
    *request.method_mut() = hyper::Method::POST;
    let headers = request.headers_mut();
    headers.insert(
        CONTENT_ENCODING,
        hyper::header::HeaderValue::from_static("snappy"),
    );
    headers.insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/x-protobuf"),
    );
    let renewals = tokio::spawn(refresher.run());
    let verdict = pipeline.answer(request).await;
    renewals.abort();
    match meaning(&verdict, workspace) {
        Ok(fine) => (fine, Some(())),
        Err(broken) => (broken, None),
    }
}

fn meaning(verdict: &Verdict, workspace: &Workspace) -> Result<Outcome, Outcome> {
    let broken = Outcome::broken(verdict.to_string());
    Err(match verdict {
        Verdict::Stored { status, .. } | Verdict::Deduplicated { status, .. } => {
            return Ok(Outcome::ok(format!(
                "AMP took a signed, empty batch for {} ({status})",
                workspace.id
            )));
        }
        // Whoever is told that the samples are bad was let in.
        Verdict::Refused { said, .. } => {
            return Ok(Outcome::ok(format!(
                "AMP took the signature and the permission, and would not have an empty batch: {said}"
            )));
        }
        Verdict::Throttled { .. } | Verdict::AmpFailing { .. } | Verdict::SeriesLimit { .. } => {
            broken.mend(AMP_TROUBLE)
        }
        Verdict::AccessDenied { .. } => broken.mend(ROLE_PERMISSION).paste({
            let account = Account::of(&workspace.identity.signing().role_arn);
            account.permission_policy(&workspace.region, &workspace.id, false)
        }),
        Verdict::WorkspaceNotFound { .. } => broken.mend_with(
            WORKSPACE_UNKNOWN,
            format!("{} in {}", workspace.id, workspace.region),
        ),
        Verdict::Unauthenticated { said } if said.contains("scoped") => {
            broken.mend_with(REGION_WRONG, format!("signed for {}", workspace.region))
        }
        Verdict::Unauthenticated { .. } | Verdict::NoCredentials { .. } => {
            broken.mend(AMP_CREDENTIALS)
        }
        Verdict::Unreachable(TransportFault::Dial(error)) => reach::unreached(error),
        Verdict::Unreachable(_) => broken.mend(CONNECTION_SILENT),
        _ => broken.mend(AMP_REFUSAL),
    })
}
