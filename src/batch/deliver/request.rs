//! Sends one payload to AMP, with a second try if AMP rejects the signature.
//!
//! In: a [`Payload`] and the deadline. Out: a [`ReplyClass`]. If AMP rejects the signature, the clock is corrected by AMP's or
//! the credentials are refreshed, and the same bytes are sent once more within the same deadline.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::Instant;

use crate::batch::forward::Forwarder;
use crate::clock::Clock;
use crate::config::Workspace;
use crate::credentials::{ActiveCredentials, Cache, RejectionCause};
use crate::net::transport::Transport;
use crate::outcome::amp_response::{ACTION, ReplyClass};
use crate::outcome::verdict::Verdict;
use crate::remote_write::payload::Payload;
use crate::sigv4::SigningError;
use crate::sigv4::batch::BatchSigner;
use crate::telemetry::WorkspaceMetrics;
use crate::telemetry::timings::{PhaseTimings, time};
use crate::telemetry::traces::Span;

/// Signs for one workspace and sends to it.
#[derive(Debug)]
pub(super) struct Requests {
    credentials: Cache,
    signer: BatchSigner,
    forwarder: Forwarder,
    clock: Clock,
    metrics: Arc<WorkspaceMetrics>,
    workspace_arn: String,
    path: String,
}

// === impl Requests ===

impl Requests {
    pub(super) fn new(
        workspace: &Workspace,
        transport: &dyn Transport,
        credentials: Cache,
        clock: Clock,
        metrics: Arc<WorkspaceMetrics>,
    ) -> Result<Self, SigningError> {
        let connector = transport
            .connector(&workspace.remote_write_url)
            .ok_or_else(|| SigningError::of("remote-write URL: invalid host"))?;
        let url = workspace.remote_write_url.clone();
        Ok(Self {
            credentials,
            signer: BatchSigner::new(&workspace.region, &workspace.remote_write_url)?,
            forwarder: Forwarder::new(connector, url, Arc::clone(&metrics)),
            clock,
            metrics,
            workspace_arn: workspace.arn(),
            path: workspace.remote_write_url.path().to_owned(),
        })
    }

    pub(super) fn idle_connections(&self) -> usize {
        self.forwarder.idle_connections()
    }

    /// Sends, and once more if AMP rejected the signature and a new one can differ.
    pub(super) async fn send(
        &self,
        payload: &Payload,
        deadline: Instant,
        batch: &Span,
        timings: &mut PhaseTimings,
    ) -> ReplyClass {
        let active = match time(&mut timings.credentials, self.credentials.get(deadline)).await {
            Ok(active) => active,
            Err(why) => {
                return ReplyClass::Final(Verdict::NoCredentials {
                    remedy: why.remedy().map(str::to_owned),
                    why: why.to_string(),
                });
            }
        };
        let (class, clock_was_wrong) = self
            .attempt(payload, &active, deadline, batch, timings)
            .await;
        let ReplyClass::Unauthenticated(refusal) = &class else {
            return class;
        };
        let refusal = match refusal {
            _ if clock_was_wrong => RejectionCause::Clock,
            Verdict::AccessDenied { .. } => RejectionCause::Denied,
            _ => RejectionCause::Credentials,
        };
        let renewing = self.credentials.again(active, refusal, deadline);
        let Some(active) = time(&mut timings.credentials, renewing).await else {
            return class;
        };
        self.metrics.upstream_retry(refusal.name());
        self.attempt(payload, &active, deadline, batch, timings)
            .await
            .0
    }

    /// Whether AMP accepts an empty write.
    pub(super) async fn takes_empty_write(&self, deadline: Instant, batch: &Span) -> bool {
        let (empty, mut timings) = (Payload::empty(), PhaseTimings::default());
        let sent = pin!(self.send(&empty, deadline, batch, &mut timings));
        let taken = matches!(sent.await, ReplyClass::Final(verdict) if verdict.is_stored());
        self.metrics.canary(taken);
        taken
    }

    /// Signs, sends and reads the response; also whether the response showed the clock to be wrong.
    async fn attempt(
        &self,
        payload: &Payload,
        active: &ActiveCredentials,
        deadline: Instant,
        batch: &Span,
        timings: &mut PhaseTimings,
    ) -> (ReplyClass, bool) {
        let mut span = batch.child("sign");
        let signing = async {
            self.signer
                .sign(payload, &active.identity, self.clock.now())
        };
        let signed = match time(&mut timings.sign, signing).await {
            Ok(signed) => signed,
            Err(why) => {
                span.failed("unsigned");
                let why = why.to_string();
                return (ReplyClass::Final(Verdict::Unsigned { why }), false);
            }
        };
        drop(span);
        let sending = pin!(self.forwarder.send(&signed, deadline, batch));
        let reply = match time(&mut timings.upstream, sending).await {
            Ok(reply) => reply,
            Err(fault) => {
                self.metrics.upstream_error(fault.name());
                return (ReplyClass::Final(Verdict::Unreachable(fault)), false);
            }
        };
        self.metrics.upstream_response(reply.status());
        let clock_was_wrong = reply.date.is_some_and(|date| self.clock.learn(date));
        let class = reply.class(&self.workspace_arn, &self.path);
        if let ReplyClass::Unauthenticated(Verdict::AccessDenied { .. }) = class {
            self.metrics.denied(ACTION, &self.workspace_arn);
        }
        (class, clock_was_wrong)
    }
}
