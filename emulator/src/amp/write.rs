//! A batch's way through the engine, in Cortex' order.
//!
//! ```text
//! content type ─▶ size, snappy ─▶ protobuf ─▶ HA tracker ─▶ distributor ─▶ rates ─▶ (time) ─▶ ingesters ─▶ [forward] ─▶ store
//! ```
//!
//! In: the headers and the body of a request that the front door let pass. Out: the engine's whole answer. Up to the rates
//! nothing is stored. From the ingesters on, good samples are stored beside the refused ones of the same request, and the
//! answer names the first fault alone: an ingester's before the distributor's.
//!
//! An empty batch is good. It ends after the distributor, so that neither a rate nor an ingester's trouble meets it.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use prost::Message;
use remote_write_proto::v1;

use super::{
    Amp, answers,
    config::AmpConfig,
    content::{self, Schema},
    decode,
    distributor::{self, Admitted, SeriesEntry},
    elections::NotElected,
    forward, go, judge,
    limits::{Limits, RemoteWrite2},
    refusal::{self, AmpRefusal},
    written_stats::WrittenStats,
};

/// The response of a step that ends a batch early.
#[derive(Debug)]
struct Ended {
    status: StatusCode,
    message: String,
    written: WrittenStats,
}

impl Amp {
    /// Takes one batch.
    pub(super) async fn write(
        &self,
        now: SystemTime,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response<Bytes>, AmpRefusal> {
        let (config, limits) = (self.config(), self.limits());
        let schema = match (content::schema(headers)?, limits.remote_write_2) {
            (Schema::V2, RemoteWrite2::Rejected) => {
                return Err(AmpRefusal::UnsupportedMedia(
                    "io.prometheus.write.v2.Request protobuf message is not accepted by this server; only accepts \
                     prometheus.WriteRequest"
                        .to_owned(),
                ));
            }
            (Schema::V2, RemoteWrite2::Misread) => Schema::V1,
            (schema, _) => schema,
        };
        let reported = |written| (schema == Schema::V2 && config.report_written).then_some(written);
        let plain = decode::unpack(body, limits.max_recv_msg_size)?;
        let request = decode::decode(schema, &plain)?;
        drop(plain);
        match self.push(now, &limits, request, body.len()).await? {
            Ok(written) => {
                let status = match schema {
                    Schema::V1 => StatusCode::OK,
                    Schema::V2 => config.version_2_status,
                };
                Ok(refusal::accepted(status, reported(written)))
            }
            Err(ended) => Err(AmpRefusal::Engine {
                status: ended.status,
                message: ended.message,
                written: reported(ended.written),
            }),
        }
    }

    /// From a decoded request to the store. The outer error is the emulator's own: nobody got the copy.
    async fn push(
        &self,
        now: SystemTime,
        limits: &Limits,
        request: v1::WriteRequest,
        body_bytes: usize,
    ) -> Result<Result<WrittenStats, Ended>, AmpRefusal> {
        let config = self.config();
        if let Some(answer) = limits.answer.filter(|answer| answer.meets_empty_writes()) {
            return Ok(Err(Ended::new(
                answer.status(),
                answer.text(&config.tenant()),
            )));
        }
        let replica_label = match self.elected(now, limits, &request) {
            Ok(label) => label,
            Err(ended) => return Ok(Err(ended)),
        };
        let mut admitted =
            match distributor::admit(request, replica_label.as_deref(), config, limits, now) {
                Ok(admitted) => admitted,
                Err(fault) => return Ok(Err(Ended::bad(fault.to_string()))),
            };
        let mut ending = admitted
            .first_fault
            .take()
            .map(|fault| Ended::bad(fault.to_string()));
        if !admitted.is_empty() {
            if let Err(ended) = self.ingestion_rate(now, limits, &admitted) {
                return Ok(Err(ended));
            }
            if let Err(ended) = self.native_histogram_rate(now, limits, &mut admitted) {
                if admitted.is_empty() {
                    return Ok(Err(ended));
                }
                ending = Some(ended);
            }
            let delay = limits.delay(admitted.counts.samples + admitted.counts.histograms);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if let Err(ended) = sent_to_ingesters(config, limits, &admitted) {
                return Ok(Err(ended));
            }
        }

        let _alone = self.0.ingest.lock().await;
        let counts = admitted.counts;
        let mut judgement = judge::judge(admitted, &self.0.store.lock(), config, limits);
        if let Some(url) = &config.forward_to {
            forward::forward(url, &judgement).await?;
        }
        let fault = judgement.first_fault.take();
        self.0.store.lock().commit(judgement, body_bytes);
        if let Some(fault) = fault {
            let status = fault.status(config);
            let text = answers::from_ingester(status, &config.tenant(), &fault.to_string());
            return Ok(Err(Ended::new(status, text)));
        }
        Ok(match ending {
            None => Ok(counts),
            Some(ended) => Err(Ended {
                written: counts,
                ..ended
            }),
        })
    }

    /// The label to drop, where the request comes from an elected replica.
    fn elected(
        &self,
        now: SystemTime,
        limits: &Limits,
        request: &v1::WriteRequest,
    ) -> Result<Option<String>, Ended> {
        let Some(tracker) = &limits.ha_tracker else {
            return Ok(None);
        };
        let Some((cluster, replica)) = distributor::replica(tracker, request) else {
            return Ok(None);
        };
        let election = self
            .lock()
            .elections
            .admit(tracker, &cluster, &replica, now);
        match election {
            Ok(()) => Ok(Some(tracker.replica_label.clone())),
            Err(fault @ NotElected::TooManyGroups { .. }) => Err(Ended::bad(fault.to_string())),
            Err(fault @ NotElected::Other { .. }) => Err(Ended {
                status: StatusCode::ACCEPTED,
                message: fault.to_string(),
                written: distributor::counts(request),
            }),
        }
    }

    fn ingestion_rate(
        &self,
        now: SystemTime,
        limits: &Limits,
        admitted: &Admitted,
    ) -> Result<(), Ended> {
        let Some(rate) = limits.ingestion_rate else {
            return Ok(());
        };
        let samples = admitted.counts.samples + admitted.counts.histograms;
        let metadata = admitted.metadata.len() as u64;
        let all = samples + admitted.counts.exemplars + metadata;
        if self.lock().ingestion.take(rate, all, now) {
            return Ok(());
        }
        Err(Ended::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "ingestion rate limit ({}) exceeded while adding {samples} samples and {metadata} metadata",
                go::float(rate.per_second)
            ),
        ))
    }

    /// Over the rate, the series with histograms are left out, and the rest goes on.
    fn native_histogram_rate(
        &self,
        now: SystemTime,
        limits: &Limits,
        admitted: &mut Admitted,
    ) -> Result<(), Ended> {
        let count = admitted.counts.histograms;
        let Some(rate) = limits.native_histogram_ingestion_rate else {
            return Ok(());
        };
        if self.lock().native_histograms.take(rate, count, now) {
            return Ok(());
        }
        admitted.entries.retain(|entry| entry.histograms.is_empty());
        admitted.counts.histograms = 0;
        admitted.refused += count;
        Err(Ended::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "native histogram ingestion rate limit ({}) exceeded while adding {count} native histogram samples",
                go::float(rate.per_second)
            ),
        ))
    }
}

/// What may go wrong between distributor and ingesters, whatever is stored there.
fn sent_to_ingesters(
    config: &AmpConfig,
    limits: &Limits,
    admitted: &Admitted,
) -> Result<(), Ended> {
    if let Some(answer) = limits.answer {
        return Err(Ended::new(answer.status(), answer.text(&config.tenant())));
    }
    let (send, receive) = (
        limits.ingester_max_send_msg_size,
        limits.ingester_max_recv_msg_size,
    );
    if send.is_none() && receive.is_none() {
        return Ok(());
    }
    let size = admitted.encoded_len();
    let exhausted = if let Some(most) = send.filter(|most| size > *most) {
        format!("trying to send message larger than max ({size} vs. {most})")
    } else if let Some(most) = receive.filter(|most| size > *most) {
        format!("grpc: received message after decompression larger than max {most}")
    } else {
        return Ok(());
    };
    Err(Ended::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        answers::of_ingester(&format!("ResourceExhausted desc = {exhausted}")),
    ))
}

impl Admitted {
    /// Whether no ingester has anything to do.
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.metadata.is_empty()
    }

    /// As one message to an ingester, unpacked.
    fn encoded_len(&self) -> usize {
        let message = v1::WriteRequest {
            timeseries: self.entries.iter().map(SeriesEntry::to_proto).collect(),
            metadata: self.metadata.clone(),
        };
        message.encoded_len()
    }
}

impl SeriesEntry {
    fn to_proto(&self) -> v1::TimeSeries {
        v1::TimeSeries {
            labels: self.labels.to_proto(),
            samples: self.samples.clone(),
            exemplars: self.exemplars.clone(),
            histograms: self.histograms.clone(),
        }
    }
}

impl Ended {
    fn new(status: StatusCode, message: String) -> Self {
        Self {
            status,
            message,
            written: WrittenStats::default(),
        }
    }

    fn bad(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}
