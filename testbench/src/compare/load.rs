//! Senders, in the three ways in which load matters.
//!
//! In: a [`LoadTarget`] and a [`Body`]. Out, of a closed loop: how many batches so many connections got through, one after the
//! other, in a time. Of an open one: how long each took that was sent at its time, whether or not those before it were done.
//! Of a crowd: whether everybody's batch was taken in the end, all having sent theirs at the same moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, header};
use http_body_util::Full;
use rustls::ClientConfig;
use tokio::sync::{Barrier, Mutex};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::bodies::Body;
use crate::peers::call::{CallError, Caller};

/// The Content-Type of remote write 2.0.
pub(super) const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What a sender in a crowd waits before it tries again.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections of an open loop, kept: more than are ever in use at once.
const KEPT: usize = 32;

/// Where load goes.
#[derive(Debug, Clone)]
pub(crate) struct LoadTarget {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    /// To a gateway, and without a proxy, the sender speaks TLS itself.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// What a gateway's senders prove themselves with.
    pub(crate) token: Option<&'static str>,
}

/// The result of a load.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Done {
    pub(crate) taken: u64,
    pub(crate) failed: u64,
}

// === impl LoadTarget ===

impl LoadTarget {
    fn caller(&self) -> Caller {
        let caller = Caller::new(self.address, ANSWER_WITHIN);
        match &self.tls {
            Some(tls) => caller.secured(Arc::clone(tls)),
            None => caller,
        }
    }

    /// Sends once; whether it was taken.
    async fn send(&self, caller: &mut Caller, body: &Body) -> Result<bool, CallError> {
        let (content_type, version) = if body.is_v2() {
            (V2, "2.0.0")
        } else {
            ("application/x-protobuf", "0.1.0")
        };
        let mut request = Request::post(&self.path)
            .header(header::HOST, self.address.to_string())
            .header(header::USER_AGENT, "Prometheus/2.42.0")
            .header(header::CONTENT_TYPE, content_type)
            .header(header::CONTENT_ENCODING, "snappy")
            .header("x-prometheus-remote-write-version", version);
        if let Some(token) = self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body.bytes.clone()))?;
        Ok(caller.call(request).await?.status.is_success())
    }

    /// Sends once, over a connection of its own.
    pub(crate) async fn once(&self, body: &Body) -> Result<bool, CallError> {
        self.send(&mut self.caller(), body).await
    }

    /// Sends `batches` one after the other over one connection.
    pub(crate) async fn row(&self, body: &Body, batches: u64) -> Done {
        let mut caller = self.caller();
        let mut done = Done::default();
        for _ in 0..batches {
            done.add(self.send(&mut caller, body).await);
        }
        done
    }

    /// A closed loop.
    pub(crate) async fn closed(&self, body: &Body, connections: usize, lasts: Duration) -> Done {
        self.closed_after(body, connections, lasts, || ()).await.1
    }

    /// A closed loop, and what `begin` returns, which is called once each connection is open and has carried a batch: connections of
    /// senders last for hours, and their handshakes are not part of a batch.
    pub(crate) async fn closed_after<T>(
        &self,
        body: &Body,
        connections: usize,
        lasts: Duration,
        begin: impl FnOnce() -> T,
    ) -> (T, Done) {
        let gate = Arc::new(Barrier::new(connections + 1));
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            let (target, body, gate) = (self.clone(), body.clone(), Arc::clone(&gate));
            senders.spawn(async move {
                let mut caller = target.caller();
                let first = target.send(&mut caller, &body).await;
                gate.wait().await;
                gate.wait().await;
                let end = Instant::now() + lasts;
                let mut done = Done::default();
                if !matches!(first, Ok(true)) {
                    done.add(first);
                }
                while Instant::now() < end {
                    done.add(target.send(&mut caller, &body).await);
                }
                done
            });
        }
        gate.wait().await;
        let begun = begin();
        gate.wait().await;
        (begun, Done::sum(senders.join_all().await))
    }

    /// An open loop; what each batch took, from its moment to its answer, in milliseconds and in order.
    pub(crate) async fn open(&self, body: &Body, a_second: u32, lasts: Duration) -> Vec<f64> {
        let idle: Arc<Mutex<Vec<Caller>>> = Arc::default();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / a_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let end = Instant::now() + lasts;
        let mut sending = JoinSet::new();
        while Instant::now() < end {
            ticks.tick().await;
            let (target, body, idle) = (self.clone(), body.clone(), Arc::clone(&idle));
            sending.spawn(async move {
                let started = Instant::now();
                let kept = idle.lock().await.pop();
                let mut caller = kept.unwrap_or_else(|| target.caller());
                let taken = target.send(&mut caller, &body).await.unwrap_or(false);
                let took = started.elapsed().as_secs_f64() * 1000.0;
                let mut idle = idle.lock().await;
                if idle.len() < KEPT {
                    idle.push(caller);
                }
                // A batch that was not taken never arrived.
                if taken { took } else { f64::INFINITY }
            });
        }
        let mut took = sending.join_all().await;
        took.sort_by(f64::total_cmp);
        took
    }

    /// So many at once, each again until its batch is taken or the time is over.
    pub(crate) async fn crowd(&self, body: &Body, senders: usize, lasts: Duration) -> Done {
        let together = Arc::new(Barrier::new(senders));
        let mut crowd = JoinSet::new();
        for _ in 0..senders {
            let (target, body, together) = (self.clone(), body.clone(), Arc::clone(&together));
            crowd.spawn(async move {
                let mut caller = target.caller();
                together.wait().await;
                let end = Instant::now() + lasts;
                loop {
                    let taken = target.send(&mut caller, &body).await;
                    if matches!(taken, Ok(true)) || Instant::now() > end {
                        let mut done = Done::default();
                        done.add(taken);
                        return done;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Done::sum(crowd.join_all().await)
    }
}

// === impl Done ===

impl Done {
    fn add(&mut self, taken: Result<bool, CallError>) {
        match taken {
            Ok(true) => self.taken += 1,
            Ok(false) | Err(_) => self.failed += 1,
        }
    }

    fn sum(all: Vec<Self>) -> Self {
        all.into_iter().fold(Self::default(), |sum, done| Self {
            taken: sum.taken + done.taken,
            failed: sum.failed + done.failed,
        })
    }
}
