//! Where a request's time goes.
//!
//! In: the work of a stage. Out: its result; its duration is added to a phase of [`PhaseTimings`]. A phase that a request did not reach has
//! no time at all, which differs from zero; work outside all phases (decoding, counting, splitting) is the rest of the request's duration.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::traces::Span;

/// Time by phase, over all parts and attempts of one request.
#[derive(Debug, Default)]
pub struct PhaseTimings {
    /// Reading the body.
    pub receive: Option<Duration>,
    /// Waiting for admission.
    pub admission: Option<Duration>,
    /// Waiting for credentials.
    pub credentials: Option<Duration>,
    pub sign: Option<Duration>,
    /// Waiting for AMP.
    pub upstream: Option<Duration>,
    /// The span of the request.
    pub span: Span,
}

// === impl PhaseTimings ===

impl PhaseTimings {
    /// No time yet, for the request of this span.
    #[must_use]
    pub fn shown_in(span: Span) -> Self {
        Self {
            span,
            ..Self::default()
        }
    }

    /// Adds the phases of another part of the same request.
    pub fn add(&mut self, part: &Self) {
        for (phase, more) in [
            (&mut self.receive, part.receive),
            (&mut self.admission, part.admission),
            (&mut self.credentials, part.credentials),
            (&mut self.sign, part.sign),
            (&mut self.upstream, part.upstream),
        ] {
            if let Some(more) = more {
                *phase.get_or_insert_default() += more;
            }
        }
    }
}

/// Runs the work and adds its time. Pin a large future first: moved in, it takes its size twice, in the argument and in the await.
pub async fn time<T>(phase: &mut Option<Duration>, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let done = work.await;
    *phase.get_or_insert_default() += started.elapsed();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_is_added_up_and_a_phase_not_come_to_has_none() {
        let mut timings = PhaseTimings::default();
        for seconds in [2, 3] {
            let work = tokio::time::sleep(Duration::from_secs(seconds));
            time(&mut timings.upstream, work).await;
        }
        time(&mut timings.admission, async {}).await;
        assert_eq!(timings.upstream, Some(Duration::from_secs(5)));
        assert_eq!(timings.admission, Some(Duration::ZERO));
        assert_eq!(timings.sign, None);
    }
}
