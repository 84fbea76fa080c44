//! A batch to AMP, in one request or in several.
//!
//! In: an [`Inspected`]. Out: the one [`Verdict`] on it. A batch over `--max-upstream-bytes`, and one that AMP answers 413, is
//! split by series and its parts are sent in their order. What can still be kept is never dropped: a part that should
//! come again makes the whole batch come again, and what AMP stored of it is sent twice, which the protocol allows. A
//! part that AMP refuses for good does not keep the others from being stored.
//!
//! Where AMP does not take the signature, the clock is set by AMP's own or the credentials are renewed, and the same
//! bytes go out once more, all before the one deadline.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::admission::Admitted;
use crate::batch::forward::Forwarder;
use crate::batch::reply::{ACTION, Meaning};
use crate::batch::sign::Signer;
use crate::batch::spent::{Spent, timed};
use crate::batch::split::{self, Part, SplitError};
use crate::batch::verdict::Verdict;
use crate::batch::{Inspected, Payload, inspect};
use crate::clock::Clock;
use crate::config::Workspace;
use crate::credentials::{Cache, Held, Refusal};
use crate::sigv4::SigningError;
use crate::telemetry::Meters;
use crate::workspace::Outside;

/// Brings batches to one workspace.
#[derive(Debug)]
pub struct Delivery {
    credentials: Cache,
    signer: Signer,
    forwarder: Forwarder,
    clock: Clock,
    meters: Arc<Meters>,
    upstream_timeout: Duration,
    max_upstream_bytes: usize,
    workspace_arn: String,
}

/// The verdicts on the parts so far, none of which asks for the batch to come again.
#[derive(Debug, Default)]
struct Sum {
    stored: Option<Verdict>,
    refused: Option<Verdict>,
}

// === impl Delivery ===

impl Delivery {
    /// Wires what a batch passes on its way out.
    ///
    /// # Errors
    /// Where the workspace's URL cannot be signed for or dialled, which a checked configuration excludes.
    pub fn new(
        workspace: &Workspace,
        way: &dyn Outside,
        credentials: Cache,
        clock: Clock,
        meters: Arc<Meters>,
    ) -> Result<Self, SigningError> {
        let dialer = way
            .dialer(&workspace.remote_write_url)
            .ok_or_else(|| SigningError::of("remote-write URL: no valid host"))?;
        Ok(Self {
            credentials,
            signer: Signer::new(&workspace.region, &workspace.remote_write_url)?,
            forwarder: Forwarder::new(
                dialer,
                workspace.remote_write_url.clone(),
                Arc::clone(&meters),
            ),
            clock,
            meters,
            upstream_timeout: workspace.limits.upstream_timeout,
            max_upstream_bytes: workspace.limits.max_upstream_bytes,
            workspace_arn: workspace.arn(),
        })
    }

    /// Kept connections to AMP that nobody uses.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.forwarder.idle_connections()
    }

    /// Brings the batch to AMP before the deadline, which begins now.
    pub async fn deliver(&self, batch: Inspected, spent: &mut Spent) -> Verdict {
        let deadline = Instant::now() + self.upstream_timeout;
        let Inspected {
            payload,
            mut admitted,
        } = batch;
        let mut waiting = VecDeque::from([payload]);
        let mut sum = Sum::default();
        while let Some(payload) = waiting.pop_front() {
            let sent = self.send_or_split(&payload, &mut admitted, deadline, spent);
            let verdict = match sent.await {
                Ok(verdict) => verdict,
                Err(parts) => {
                    parts
                        .into_iter()
                        .rev()
                        .for_each(|part| waiting.push_front(part));
                    continue;
                }
            };
            self.meters.delivered(&verdict, &payload.contents);
            if let Some(come_again) = sum.add(verdict) {
                return come_again;
            }
        }
        sum.verdict()
    }

    /// The verdict on a payload, or the parts that are to be sent in its place.
    async fn send_or_split(
        &self,
        payload: &Payload,
        admitted: &mut Admitted,
        deadline: Instant,
        spent: &mut Spent,
    ) -> Result<Verdict, Vec<Payload>> {
        let len = payload.frames.len();
        let (limit, verdict) = if len > self.max_upstream_bytes {
            let said = format!(
                "{len} bytes are over --max-upstream-bytes, {}",
                self.max_upstream_bytes
            );
            (self.max_upstream_bytes, Verdict::TooLargeForAmp { said })
        } else {
            match self.send(payload, deadline, spent).await {
                Meaning::TooLarge(verdict) => (len / 2, verdict),
                Meaning::Final(verdict) | Meaning::Unauthenticated(verdict) => return Ok(verdict),
            }
        };
        match self.split(payload, limit, admitted, spent).await {
            Ok(parts) => Err(parts),
            Err(Verdict::TooLargeForAmp { said: why }) => Ok(Verdict::TooLargeForAmp {
                said: format!("{verdict}; {why}"),
            }),
            Err(verdict) => Ok(verdict),
        }
    }

    async fn split(
        &self,
        payload: &Payload,
        limit: usize,
        admitted: &mut Admitted,
        spent: &mut Spent,
    ) -> Result<Vec<Payload>, Verdict> {
        let cannot = |why: String| Verdict::TooLargeForAmp { said: why };
        let body = payload.frames.contiguous().into_owned();
        let unpacked = inspect::unpacked_len(&body).map_err(Verdict::Malformed)?;
        // The body, its copy, the message, one stretch of it and the parts.
        let room = body
            .len()
            .saturating_mul(3)
            .saturating_add(unpacked.saturating_mul(2));
        if room > admitted.budget() {
            return Err(cannot(format!(
                "splitting it takes {room} bytes, more than --max-inflight-bytes"
            )));
        }
        timed(&mut spent.admission, admitted.grow_to(room)).await?;

        let media = payload.media.clone();
        // Tens of milliseconds for a few megabytes: too long for a thread that serves others.
        let parts = tokio::task::spawn_blocking(move || -> Result<Vec<Payload>, SplitError> {
            let message = inspect::unpack(&body, unpacked)?.unwrap_or_default();
            let parts = split::split(&message, media.version, limit)?;
            Ok(parts
                .into_iter()
                .map(|Part { body, contents }| Payload::new(media.clone(), body, contents))
                .collect())
        });
        let parts = parts.await.map_err(|error| Verdict::Unsigned {
            why: error.to_string(),
        })?;
        match parts {
            Ok(parts) => {
                self.meters.split(parts.len());
                spent
                    .span
                    .count("amp_sidecar.split_parts", parts.len() as u64);
                Ok(parts)
            }
            Err(SplitError::Malformed(why)) => Err(Verdict::Malformed(why)),
            Err(why) => Err(cannot(why.to_string())),
        }
    }

    /// Sends, and once more where AMP did not take the signature and there is something to do about that.
    async fn send(&self, payload: &Payload, deadline: Instant, spent: &mut Spent) -> Meaning {
        let held = match timed(&mut spent.credentials, self.credentials.get(deadline)).await {
            Ok(held) => held,
            Err(why) => {
                return Meaning::Final(Verdict::NoCredentials {
                    why: why.to_string(),
                });
            }
        };
        let (meaning, clock_was_wrong) = self.attempt(payload, &held, deadline, spent).await;
        let Meaning::Unauthenticated(refusal) = &meaning else {
            return meaning;
        };
        let refusal = match refusal {
            _ if clock_was_wrong => Refusal::Clock,
            Verdict::AccessDenied { .. } => Refusal::Denied,
            _ => Refusal::Credentials,
        };
        let renewing = self.credentials.again(held, refusal, deadline);
        let Some(held) = timed(&mut spent.credentials, renewing).await else {
            return meaning;
        };
        self.meters.upstream_resend(refusal.mend());
        self.attempt(payload, &held, deadline, spent).await.0
    }

    /// Signs, sends and reads the answer; also whether the answer showed the clock to be wrong.
    async fn attempt(
        &self,
        payload: &Payload,
        held: &Held,
        deadline: Instant,
        spent: &mut Spent,
    ) -> (Meaning, bool) {
        let mut span = spent.span.child("sign");
        let signing = async { self.signer.sign(payload, &held.identity, self.clock.now()) };
        let signed = match timed(&mut spent.sign, signing).await {
            Ok(signed) => signed,
            Err(why) => {
                span.failed("unsigned");
                return (
                    Meaning::Final(Verdict::Unsigned {
                        why: why.to_string(),
                    }),
                    false,
                );
            }
        };
        drop(span);
        let sending = pin!(self.forwarder.send(&signed, deadline, &spent.span));
        let reply = match timed(&mut spent.upstream, sending).await {
            Ok(reply) => reply,
            Err(fault) => {
                self.meters.upstream_fault(fault.name());
                return (Meaning::Final(Verdict::Unreachable(fault)), false);
            }
        };
        self.meters.upstream_answer(reply.status());
        let clock_was_wrong = reply.date.is_some_and(|date| self.clock.learn(date));
        let meaning = reply.meaning(&self.workspace_arn);
        if let Meaning::Unauthenticated(Verdict::AccessDenied { .. }) = meaning {
            self.meters.denied(ACTION, &self.workspace_arn);
        }
        (meaning, clock_was_wrong)
    }
}

// === impl Sum ===

impl Sum {
    /// Takes the verdict on a part; gives it back where the whole batch must come again.
    fn add(&mut self, verdict: Verdict) -> Option<Verdict> {
        match verdict {
            Verdict::Stored { status, written } => {
                self.stored = Some(match self.stored.take() {
                    Some(Verdict::Stored {
                        written: before, ..
                    }) => Verdict::Stored {
                        status,
                        written: before.plus(&written),
                    },
                    _ => Verdict::Stored { status, written },
                });
                None
            }
            refused if refused.lost().is_some() => {
                self.refused.get_or_insert(refused);
                None
            }
            come_again => Some(come_again),
        }
    }

    /// A refusal of one part is the answer: the sender is told that not all of the batch was stored.
    fn verdict(self) -> Verdict {
        self.refused.or(self.stored).unwrap_or(Verdict::Overloaded)
    }
}
