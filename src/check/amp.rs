//! One empty batch, signed and written: the whole pipeline of `run`, with the session that STS just gave.
//!
//! A `WriteRequest` without series is valid remote write, and one byte of snappy. AMP must verify signature, permission and workspace before
//! it can see that there is nothing to store; nothing is stored, so no label, limit or timestamp of a real series is affected.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::step::StepOutcome;
use crate::batch::Pipeline;
use crate::clock::Clock;
use crate::config::{Alertmanager, RoleSession, Workspace};
use crate::credentials::cache::{self, CredentialSource, Failure};
use crate::credentials::sts::{Pace, SessionCredentials};
use crate::net::transport::NetworkTransport;
use crate::outcome::remedy;
use crate::outcome::verdict::Verdict;
use crate::remedies::first_hour::{REGION_WRONG, WORKSPACE_UNKNOWN};
use crate::remedies::running::ACCESS_DENIED;
use crate::remote_write::payload::EMPTY;
use crate::setup::policy::Account;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::incidents::{CREDENTIALS, Diagnosis, IncidentTracker, RecentIncidents};

/// A source that gives this session whenever it is asked.
struct AtHand(SessionCredentials);

impl CredentialSource for AtHand {
    type Error = Infallible;

    async fn obtain(&self) -> Result<SessionCredentials, Infallible> {
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

    fn diagnosis(&self) -> Diagnosis {
        match *self {}
    }
}

pub(super) async fn empty_write(
    workspace: &Workspace,
    way: &NetworkTransport,
    session: SessionCredentials,
    clock: &Clock,
    metrics: Arc<WorkspaceMetrics>,
) -> (StepOutcome, Option<()>) {
    let watch = |subject| {
        IncidentTracker::over(
            subject,
            Some(&workspace.name),
            &RecentIncidents::default(),
            clock,
        )
    };
    let (credentials, refresher) = cache::cache(
        AtHand(session),
        clock.clone(),
        Arc::clone(&metrics),
        watch(&CREDENTIALS),
    );
    let pipeline = Pipeline::new(workspace, way, credentials, clock.clone(), metrics, watch);
    let pipeline = match pipeline {
        Ok(pipeline) => pipeline,
        Err(error) => return (StepOutcome::broken(error.to_string()), None),
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

fn meaning(verdict: &Verdict, workspace: &Workspace) -> Result<StepOutcome, StepOutcome> {
    match verdict {
        Verdict::Stored { status, .. } | Verdict::Deduplicated { status, .. } => {
            return Ok(StepOutcome::ok(format!(
                "AMP accepted a signed, empty batch for {} ({status})",
                workspace.id
            )));
        }
        // AMP validates samples after it has accepted the client.
        Verdict::Refused { said, .. } => {
            return Ok(StepOutcome::ok(format!(
                "AMP accepted signature and permission, but not an empty batch: {said}"
            )));
        }
        _ => {}
    }
    let broken = StepOutcome::broken(verdict.to_string());
    let Some(remedy) = remedy::of_verdict(verdict) else {
        return Err(broken);
    };
    let here = match remedy.rows() {
        [WORKSPACE_UNKNOWN] => format!("{} in {}", workspace.id, workspace.region),
        [REGION_WRONG] => format!("signed for {}", workspace.region),
        _ => remedy.values().to_owned(),
    };
    let may_lack_permission = remedy.rows().contains(&ACCESS_DENIED);
    let broken = broken.advise(&remedy.here(here));
    Err(if may_lack_permission {
        let account = Account::of(&workspace.arn());
        broken.paste(account.permission_policy(
            &workspace.region,
            &workspace.id,
            false,
            Alertmanager::Off,
        ))
    } else {
        broken
    })
}
