//! How much longer a batch takes through the sidecar than without it.
//!
//! In: a calm world and the sidecar's address. Out: [`Latency`]: two distributions of the time from a batch's first byte to
//! the end of its answer, and their difference. Batches go out one at a time and in turn, once through the sidecar, once
//! straight to AMP over the same kind of kept-alive TLS connection, there signed beforehand; so both meet the same load.
//! What is left between them is what the sidecar is for: a hop over loopback, hashing, counting, signing.
//!
//! A sidecar's own histogram would know neither the hop nor AMP's share, and its buckets are too coarse.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use prost::Message as _;
use remote_write_proto::v1;
use serde::Serialize;
use tokio::time::Instant;

use crate::peers::call::Caller;
use crate::peers::sender::to_proto;
use crate::signer::DirectSigner;
use emulator::amp::Labels;
use emulator::clock::Clock;
use emulator::world::World;

/// As many samples as a batch of Prometheus 2.42.
const SAMPLES: usize = 500;
const PAIRS_AT_MOST: usize = 1000;
/// Connections are made and caches filled.
const WARM_UP: usize = 5;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const SESSION_LIFE: Duration = Duration::from_secs(900);
/// Lets the sender's batches have their turn.
const PAUSE: Duration = Duration::from_millis(1);

/// What batches took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How many batches went each way and are measured.
    pub batches: u64,
    /// Half of those through the sidecar took no longer.
    pub through_p50_ms: f64,
    /// 99 % of those through the sidecar took no longer.
    pub through_p99_ms: f64,
    /// Half of those straight to AMP took no longer.
    pub direct_p50_ms: f64,
    /// 99 % of those straight to AMP took no longer.
    pub direct_p99_ms: f64,
}

/// What is sent to measure, so that it can be distinguished from what the sender sends.
#[derive(Debug, Clone, Default)]
pub(super) struct Probes {
    through: Arc<AtomicU64>,
    direct: Arc<AtomicU64>,
}

impl Probes {
    /// Batches through the sidecar.
    pub(super) fn batches_through(&self) -> u64 {
        self.through.load(Ordering::Relaxed)
    }

    /// Samples in all.
    pub(super) fn samples(&self) -> u64 {
        (self.batches_through() + self.direct.load(Ordering::Relaxed)) * SAMPLES as u64
    }
}

impl Latency {
    /// What the sidecar added at the median.
    #[must_use]
    pub fn added_p50_ms(&self) -> f64 {
        self.through_p50_ms - self.direct_p50_ms
    }

    /// What the sidecar added at the 99th percentile.
    #[must_use]
    pub fn added_p99_ms(&self) -> f64 {
        self.through_p99_ms - self.direct_p99_ms
    }
}

/// Measures for so long; `None` where a batch was not stored, for then the world was not calm.
pub(super) fn measure(
    world: &World,
    sidecar: SocketAddr,
    within: Duration,
    probes: Probes,
) -> impl Future<Output = Option<Latency>> + Send + 'static {
    let clock = world.clock().clone();
    let session = world
        .sessions()
        .issue(world.role_arn(), "latency", SESSION_LIFE, clock.now());
    let region = world.region().to_owned();
    let tls = world.certificates().client_config();
    let amp: Option<Uri> = world.amp_url().parse().ok();
    async move {
        let amp = amp?;
        let host = amp.authority()?.to_string();
        let direct = Caller::new(host.parse().ok()?, ANSWER_WITHIN).secured(tls);
        let bench = LatencyProbe {
            signer: DirectSigner {
                access_key_id: session.access_key_id,
                secret_access_key: session.secret_access_key,
                session_token: session.session_token,
                region,
                host,
                path: amp.path().to_owned(),
            },
            clock,
            sidecar,
            probes,
        };
        bench
            .run(direct, Caller::new(sidecar, ANSWER_WITHIN), within)
            .await
    }
}

struct LatencyProbe {
    signer: DirectSigner,
    clock: Clock,
    sidecar: SocketAddr,
    probes: Probes,
}

impl LatencyProbe {
    async fn run(
        self,
        mut direct: Caller,
        mut through: Caller,
        within: Duration,
    ) -> Option<Latency> {
        let deadline = Instant::now() + within;
        let (mut took_direct, mut took_through) = (Vec::new(), Vec::new());
        let mut pairs = 0;
        while pairs < PAIRS_AT_MOST + WARM_UP && Instant::now() < deadline {
            let now = self.clock.now();
            let request = self.signer.sign(body("direct", now)?, now).ok()?;
            let straight = time(&mut direct, request, &self.probes.direct).await?;
            let request = self.unsigned(body("through", now)?)?;
            let detour = time(&mut through, request, &self.probes.through).await?;
            pairs += 1;
            if pairs > WARM_UP {
                took_direct.push(straight);
                took_through.push(detour);
            }
            tokio::time::sleep(PAUSE).await;
        }
        took_direct.sort_unstable();
        took_through.sort_unstable();
        Some(Latency {
            batches: took_through.len() as u64,
            through_p50_ms: quantile(&took_through, 50)?,
            through_p99_ms: quantile(&took_through, 99)?,
            direct_p50_ms: quantile(&took_direct, 50)?,
            direct_p99_ms: quantile(&took_direct, 99)?,
        })
    }

    fn unsigned(&self, body: Bytes) -> Option<Request<Full<Bytes>>> {
        Request::post(&self.signer.path)
            .header(header::HOST, self.sidecar.to_string())
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONTENT_ENCODING, "snappy")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .body(Full::new(body))
            .ok()
    }
}

async fn time(
    caller: &mut Caller,
    request: Request<Full<Bytes>>,
    sent: &AtomicU64,
) -> Option<Duration> {
    sent.fetch_add(1, Ordering::Relaxed);
    let started = Instant::now();
    let answer = caller.call(request).await.ok()?;
    let took = started.elapsed();
    answer.status.is_success().then_some(took)
}

/// A batch that nobody has sent before.
fn body(way: &str, now: SystemTime) -> Option<Bytes> {
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let timestamp = i64::try_from(since.as_millis()).ok()?;
    let series = |index: usize| {
        let labels = Labels::new([
            ("__name__", "latency_probe"),
            ("way", way),
            ("index", &index.to_string()),
        ]);
        v1::TimeSeries {
            labels: to_proto(&labels),
            samples: vec![v1::Sample {
                value: since.as_secs_f64(),
                timestamp,
            }],
            ..Default::default()
        }
    };
    let message = v1::WriteRequest {
        timeseries: (0..SAMPLES).map(series).collect(),
        metadata: Vec::new(),
    };
    let packed = snap::raw::Encoder::new().compress_vec(&message.encode_to_vec());
    packed.ok().map(Bytes::from)
}

/// The nearest rank; `None` of nothing.
fn quantile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    let took = sorted.get(rank.checked_sub(1)?)?;
    Some(took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let millis: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile(&millis, 50), Some(100.0));
        assert_eq!(quantile(&millis, 99), Some(198.0));
        assert_eq!(quantile(&millis[..1], 99), Some(1.0));
        assert_eq!(quantile(&[], 50), None);
    }
}
