//! Passes what was judged good to a real Prometheus started with `--web.enable-remote-write-receiver`.
//!
//! Not the sender's bytes but a version 1 body made of the new samples alone. The raw bytes would fail where AMP does
//! not: Prometheus throws a whole batch away for one bad or repeated sample, and 2.42 takes a version 2 body for an
//! empty one. Samples out of order arrive only if its `out_of_order_time_window` is at least AMP's, native histograms
//! only with its feature on; what it refuses makes AMP answer 500, so that nothing is lost without a sound.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::{net::TcpStream, time::timeout};

use super::{
    judge::{Accepted, Judgement},
    proto::v1,
};

/// For connection, request and answer together.
const DEADLINE: Duration = Duration::from_secs(10);
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Why Prometheus does not have the batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardError {
    #[error("{0:?} is not a plain http URL")]
    Url(String),
    #[error("forwarding to the real Prometheus took longer than {DEADLINE:?}")]
    Deadline,
    #[error("cannot reach the real Prometheus: {0}")]
    Connect(#[from] io::Error),
    #[error("no answer from the real Prometheus: {0}")]
    Http(#[from] hyper::Error),
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
    timeout(DEADLINE, send(url, body))
        .await
        .map_err(|_| ForwardError::Deadline)?
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
    let not_a_url = || ForwardError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| not_a_url())?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(not_a_url());
    };
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when `sender` is dropped; what goes wrong in it also comes out of `send_request`.
    tokio::spawn(connection);
    let request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .header(header::CONTENT_ENCODING, "snappy")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(Full::new(body))
        .map_err(|error| ForwardError::Encode(error.to_string()))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let text = match Limited::new(response.into_body(), MAX_ANSWER_BYTES)
        .collect()
        .await
    {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(ForwardError::Refused { status, text })
}
