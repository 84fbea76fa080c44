//! Passes what was judged good to a real Prometheus started with `--web.enable-remote-write-receiver`.
//!
//! Not the sender's bytes but a version 1 body made of the new samples alone. The raw bytes would fail where AMP does
//! not: Prometheus throws a whole batch away for one bad or repeated sample, and 2.42 takes a version 2 body for an
//! empty one. Samples out of order arrive only if its `out_of_order_time_window` is at least AMP's, native histograms
//! only with its feature on; what it refuses makes AMP answer 500, so that nothing is lost without a sound.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use prost::Message;
use remote_write_proto::v1;

use super::{
    judgement::{Accepted, Judgement},
    prometheus::{CallError, call},
};

/// Why Prometheus does not have the batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("cannot make the batch for the real Prometheus: {0}")]
    Encode(String),
    #[error("the real Prometheus answered {status}: {text}")]
    Refused { status: StatusCode, text: String },
}

/// Sends the good part of a batch, if there is one, and waits for Prometheus to have it.
pub(super) async fn forward(url: &str, judgement: &Judgement) -> Result<(), ForwardError> {
    let message = v1::WriteRequest {
        timeseries: judgement
            .accepted
            .iter()
            .map(to_proto)
            .collect::<Result<_, _>>()?,
        metadata: judgement.metadata.clone(),
    };
    if message.timeseries.is_empty() && message.metadata.is_empty() {
        return Ok(());
    }
    let body = snap::raw::Encoder::new().compress_vec(&message.encode_to_vec());
    let body = Bytes::from(body.map_err(|error| ForwardError::Encode(error.to_string()))?);
    send(url, body).await
}

fn to_proto(accepted: &Accepted) -> Result<v1::TimeSeries, ForwardError> {
    let samples = accepted
        .fresh
        .samples()
        .map(|(timestamp, value)| v1::Sample { value, timestamp });
    let histograms = accepted
        .fresh
        .histograms()
        .map(|(_, bytes)| v1::Histogram::decode(bytes));
    Ok(v1::TimeSeries {
        labels: accepted.labels.to_proto(),
        samples: samples.collect(),
        exemplars: accepted.exemplars.clone(),
        histograms: histograms
            .collect::<Result<_, _>>()
            .map_err(|error| ForwardError::Encode(error.to_string()))?,
    })
}

async fn send(url: &str, body: Bytes) -> Result<(), ForwardError> {
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .header(header::CONTENT_ENCODING, "snappy")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(body)
        .map_err(|_| CallError::Url(url.to_owned()))?;
    let answer = call(request).await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(answer.body()).trim().to_owned();
    Err(ForwardError::Refused { status, text })
}
