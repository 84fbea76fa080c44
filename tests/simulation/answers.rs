//! Requests to AMP, and the responses of faults.
//!
//! In: a body as it arrived, and the current fault. Out: an [`AmpRequest`] for faults and invariants, and the
//! [`response`](AmpRequest::response) of a fault that does not need AMP.

use emulator::amp::proto::v1;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SERVER};
use prost::Message;

use crate::faults::{AmpFault, BLOCKED, Form, Reply};

/// A request to AMP: a batch, a part of one, or an empty canary.
#[derive(Debug)]
pub struct AmpRequest {
    /// The batch's number.
    pub batch: Option<usize>,
    /// Series by number, each with its samples' places in the batch; a series may occur twice.
    pub series: Vec<(usize, Vec<usize>)>,
    pub poisoned: bool,
    /// Compressed size.
    pub bytes: usize,
    /// How many non-empty requests AMP received before.
    pub before: usize,
}

// === impl AmpRequest ===

impl AmpRequest {
    /// `None` if it is not a batch of a simulated sender.
    pub fn read(body: &[u8], before: usize) -> Option<Self> {
        let message = snap::raw::Decoder::new().decompress_vec(body).ok()?;
        let message = v1::WriteRequest::decode(&*message).ok()?;
        let mut amp_request = Self {
            batch: None,
            series: Vec::new(),
            poisoned: false,
            bytes: body.len(),
            before,
        };
        for series in message.timeseries {
            let label = |name: &str| {
                let label = series.labels.iter().find(|label| label.name == name)?;
                Some(label.value.as_str())
            };
            let number = label("__name__")?.strip_prefix("batch_")?.parse().ok()?;
            amp_request.batch = Some(number);
            amp_request.poisoned |= label("poison").is_some();
            let places = series.samples.iter().map(|sample| sample.value as usize);
            let number = label("series")?.parse().ok()?;
            amp_request.series.push((number, places.collect()));
        }
        Some(amp_request)
    }

    /// Whether it is empty.
    pub fn is_canary(&self) -> bool {
        self.series.is_empty()
    }

    /// Whether it has a single series and cannot be halved.
    pub fn is_single(&self) -> bool {
        let mut numbers = self.series.iter().map(|(number, _)| number);
        let first = numbers.next();
        first.is_some() && numbers.all(|number| Some(number) == first)
    }

    /// The fault's response; `None` if AMP handles the request.
    pub fn response(&self, fault: &AmpFault) -> Option<Response<String>> {
        let said = |status: u16, body: &str| {
            let response = Response::builder().status(status);
            Some(response.body(body.to_owned()).unwrap())
        };
        match fault {
            AmpFault::Status(status, pause) => {
                let mut response = said(*status, "as planned")?;
                let headers = response.headers_mut();
                if let Some(pause) = pause {
                    headers.insert(RETRY_AFTER, (*pause).into());
                }
                if *status == 302 {
                    headers.insert(LOCATION, "http://192.0.2.1/".parse().unwrap());
                }
                Some(response)
            }
            AmpFault::BadData => said(
                400,
                "err: out of order sample. timestamp=2027-01-15T08:00:00Z",
            ),
            AmpFault::TooLarge(most) if self.bytes > *most => {
                said(413, &format!("{} bytes are too many", self.bytes))
            }
            AmpFault::RefusedLate(_) => said(
                403,
                r#"{"message":"The security token included in the request is expired"}"#,
            ),
            AmpFault::Denied => said(
                403,
                r#"{"Message":"User: someone is not authorized to perform: aps:RemoteWrite on resource: it"}"#,
            ),
            AmpFault::Says(reply) | AmpFault::SaysLate(_, reply) => {
                Some(reply.response("as planned"))
            }
            AmpFault::Poison(one, other) if self.poisoned => {
                let reply = if self.before.is_multiple_of(2) {
                    one
                } else {
                    other
                };
                Some(reply.response(BLOCKED))
            }
            _ => None,
        }
    }
}

// === impl Reply ===

impl Reply {
    fn response(self, words: &str) -> Response<String> {
        let (kind, body) = match self.form {
            Form::Plain => ("text/plain", words.to_owned()),
            Form::Html => (
                "text/html",
                format!("<html><title>{words}</title><p>No.</html>"),
            ),
            Form::FrontDoor(words) => ("application/json", format!(r#"{{"message":"{words}"}}"#)),
        };
        let response = Response::builder().status(self.status);
        let response = response.header(CONTENT_TYPE, kind).header(SERVER, "wall");
        response.body(body).unwrap()
    }
}
