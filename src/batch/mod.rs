//! The life of a batch, from a request's head to the answer.
//!
//! ```text
//! address ─▶ admission ─▶ receive ─▶ inspect ─▶ sign ─▶ forward ─▶ reply ─▶ verdict
//! one of     Admitted     Received   Inspected  Signed   Reply      Meaning   Verdict
//! our paths
//! ```
//!
//! Each stage consumes what the stage before made, so a batch that was not admitted cannot be read and one that was not
//! signed cannot leave. Nothing is queued: the sender waits for AMP's own word, and 2xx is said only once AMP said it.

pub mod address;
pub mod admission;
pub mod forward;
pub mod frames;
pub mod inspect;
pub mod receive;
pub mod reply;
pub mod sign;
pub mod split;
pub mod trouble;
pub mod verdict;
pub mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::{Config, Workspace};
use crate::credentials::{Cache, Held};
use crate::dial::Dialer;
use crate::listener::Service;
use crate::telemetry::Telemetry;

use address::{Address, Media};
use admission::{Admission, Admitted};
use forward::Forwarder;
use frames::Frames;
use inspect::{Contents, Inspector};
use receive::Received;
use reply::Meaning;
use sign::{Signer, SigningError};
use trouble::Trouble;
use verdict::{Answer, Verdict};

/// Takes batches for one workspace.
#[derive(Debug)]
pub struct Pipeline {
    address: Address,
    admission: Admission,
    inspectors: Mutex<Vec<Inspector>>,
    credentials: Cache,
    signer: Signer,
    forwarder: Forwarder,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    trouble: Trouble,
    max_body_bytes: usize,
    upstream_timeout: Duration,
    workspace_arn: String,
    last_request: Mutex<Instant>,
}

/// A body that is known to be no nonsense, and what is in it.
#[derive(Debug)]
pub struct Inspected {
    media: Media,
    frames: Frames,
    payload_hash: String,
    contents: Contents,
    /// Held until the sender was answered.
    _admitted: Admitted,
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer: {0}")]
pub struct Closed(&'static str);

// === impl Pipeline ===

impl Pipeline {
    /// Wires the stages for the configured workspace.
    ///
    /// # Errors
    /// Where its URL cannot be signed for or dialled, which a checked configuration excludes.
    pub fn new(
        config: &Config,
        tls: Arc<rustls::ClientConfig>,
        credentials: Cache,
        clock: Clock,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, SigningError> {
        let workspace = &config.workspace;
        let signer = Signer::new(workspace)?;
        let dialer = Dialer::new(workspace, tls)
            .ok_or_else(|| SigningError::of("remote-write URL: no valid host"))?;
        Ok(Self {
            address: Address::new(&workspace.id),
            admission: Admission::new(config.limits.max_inflight_bytes),
            inspectors: Mutex::default(),
            credentials,
            signer,
            forwarder: Forwarder::new(dialer),
            clock,
            telemetry,
            trouble: Trouble::default(),
            max_body_bytes: config.limits.max_body_bytes,
            upstream_timeout: config.limits.upstream_timeout,
            workspace_arn: workspace_arn(workspace, &config.identity.role_arn),
            last_request: Mutex::new(Instant::now()),
        })
    }

    /// Returns once no request has come for `idle` and none is in flight.
    pub async fn quiet(&self, idle: Duration) {
        loop {
            let since = self
                .last_request
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .elapsed();
            let busy = self.admission.requests_in_flight() > 0;
            match idle.checked_sub(since) {
                None if !busy => return,
                left => {
                    tokio::time::sleep(left.unwrap_or_default().max(Duration::from_millis(50)))
                        .await
                }
            }
        }
    }

    /// Room and requests in flight, for the metrics.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// One request, whatever it is.
    ///
    /// # Errors
    /// [`Closed`] where the sender is not to be answered.
    pub async fn answer<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Closed>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let started = Instant::now();
        *self
            .last_request
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = started;
        let (verdict, contents) = match self.prepare(request).await {
            Ok(batch) => (self.deliver(&batch).await, batch.contents),
            Err(verdict) => (verdict, Contents::default()),
        };
        self.telemetry.batch(&verdict, &contents, started.elapsed());
        self.trouble.saw(&verdict);
        match verdict.answer() {
            Answer::Respond(response) => Ok(response),
            Answer::Close => Err(Closed(verdict.name())),
        }
    }

    /// From the head to a batch that is worth sending.
    async fn prepare<B>(&self, request: Request<B>) -> Result<Inspected, Verdict>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, body) = request.into_parts();
        let media = self.address.accept(&head)?;
        let declared = address::declared_length(&head.headers);
        if declared.is_some_and(|declared| declared > self.max_body_bytes) {
            return Err(Verdict::TooLarge {
                limit: self.max_body_bytes,
            });
        }
        let admitted = self.admission.admit(declared).await?;
        let received = receive::receive(admitted, body, self.max_body_bytes).await?;
        self.inspect(received, media)
    }

    fn inspect(&self, received: Received, media: Media) -> Result<Inspected, Verdict> {
        let Received {
            frames,
            payload_hash,
            admitted,
        } = received;
        let mut inspector = self.inspectors().pop().unwrap_or_default();
        let inspected = inspector.inspect(&frames.contiguous(), media.version, self.max_body_bytes);
        self.inspectors().push(inspector);
        let contents = match inspected.map_err(Verdict::Malformed)? {
            inspect::Inspected::Counted(contents) => contents,
            inspect::Inspected::TooLarge { .. } => Contents::default(),
        };
        self.telemetry.received(frames.len(), &contents);
        Ok(Inspected {
            media,
            frames,
            payload_hash,
            contents,
            _admitted: admitted,
        })
    }

    fn inspectors(&self) -> std::sync::MutexGuard<'_, Vec<Inspector>> {
        self.inspectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the batch, and once more where AMP did not take the signature and there is something to do about that.
    async fn deliver(&self, batch: &Inspected) -> Verdict {
        let deadline = Instant::now() + self.upstream_timeout;
        let held = match self.credentials.get().await {
            Ok(held) => held,
            Err(why) => {
                return Verdict::NoCredentials {
                    why: why.to_string(),
                };
            }
        };
        let (verdict, clock_was_wrong) = match self.attempt(batch, &held, deadline).await {
            (Meaning::Final(verdict) | Meaning::TooLarge(verdict), _) => return verdict,
            (Meaning::Unauthenticated(verdict), clock_was_wrong) => (verdict, clock_was_wrong),
        };
        let held = if clock_was_wrong {
            Ok(held)
        } else {
            self.credentials.renewed(&held).await
        };
        let Ok(held) = held else { return verdict };
        match self.attempt(batch, &held, deadline).await.0 {
            Meaning::Final(verdict)
            | Meaning::TooLarge(verdict)
            | Meaning::Unauthenticated(verdict) => verdict,
        }
    }

    /// Signs, sends and reads the answer; also whether the answer showed the clock to be wrong.
    async fn attempt(&self, batch: &Inspected, held: &Held, deadline: Instant) -> (Meaning, bool) {
        let signed = match self.signer.sign(batch, held, self.clock.now()) {
            Ok(signed) => signed,
            Err(why) => {
                return (
                    Meaning::Final(Verdict::Unsigned {
                        why: why.to_string(),
                    }),
                    false,
                );
            }
        };
        let reply = match self.forwarder.send(&signed, deadline).await {
            Ok(reply) => reply,
            Err(fault) => {
                self.telemetry.upstream_fault(fault.name());
                return (Meaning::Final(Verdict::Unreachable(fault)), false);
            }
        };
        self.telemetry.upstream_answer(reply.status());
        let clock_was_wrong = reply.date.is_some_and(|date| self.clock.learn(date));
        (reply.meaning(&self.workspace_arn), clock_was_wrong)
    }
}

impl Service for Pipeline {
    async fn call(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
        self.answer(request).await
    }
}

/// The workspace as IAM names it, in the role's account unless AMP says otherwise.
fn workspace_arn(workspace: &Workspace, role_arn: &str) -> String {
    let mut parts = role_arn.split(':');
    let partition = parts.nth(1).unwrap_or("aws");
    let account = parts.nth(2).unwrap_or("<account>");
    format!(
        "arn:{partition}:aps:{}:{account}:workspace/{}",
        workspace.region, workspace.id
    )
}
