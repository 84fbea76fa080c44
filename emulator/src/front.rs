//! What stands before each target: it writes the journal, dates the answers
//! and carries out the faults.
//!
//! In: a whole request. Out: the target's answer with a `Date` from the
//! world's clock and an `x-amzn-RequestId` where the target stands for AWS, or
//! what the fault of the moment makes of it.
//!
//! Invariant: a request that no fault hits is answered by the target and by
//! nothing else; targets do not know that faults exist.

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};

use crate::clock::Clock;
use crate::fault::{Fault, FaultKind, Faults};
use crate::http::{Arrival, Ending, Raw, Reply, Serve, answer, head, on_the_wire};
use crate::journal::{InFlight, Journal};
use crate::sessions::random_bytes;

/// The header in which AWS numbers its answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

const WRONG_XML: &str = "<?xml version=\"1.0\"?><Envelope><Body/></Envelope>";
const PROMISED_TOO_MUCH: usize = 4096;
/// The default workspace, as the engine names it.
const ENGINE_TENANT: &str = "123456789012_ws-12345678-abcd-1234-abcd-123456789012";

/// One of the services behind a front.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Answers as the real service does.
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Response<Bytes>> + Send;
}

/// A target together with its journal and its faults.
#[derive(Debug)]
pub(crate) struct Front<T> {
    pub(crate) target: T,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) clock: Clock,
    /// Whether answers carry AWS' request number.
    pub(crate) numbered: bool,
}

// === impl Front ===

impl<T: Answers> Serve for Front<T> {
    fn arrive(&self) -> Arrival {
        self.faults.at_arrival()
    }

    async fn serve(&self, request: Request<Bytes>, peer: SocketAddr) -> Reply {
        let in_flight = self.journal.begin(&request, peer, self.clock.now());
        let path = request
            .uri()
            .path_and_query()
            .map_or_else(|| request.uri().path(), |path| path.as_str());
        match self.faults.at_request(path, request.body()) {
            None => {
                let response = self.truly(request).await;
                in_flight.answered(response.status());
                Reply::Whole(response)
            }
            Some(fault) => {
                in_flight.hit_by(fault.kind.name());
                self.wrongly(request, fault, in_flight).await
            }
        }
    }
}

impl<T: Answers> Front<T> {
    /// The target's own answer.
    async fn truly(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.dated(self.target.answer(request).await)
    }

    async fn wrongly(&self, request: Request<Bytes>, fault: Fault, in_flight: InFlight) -> Reply {
        let whole = |response: Response<Bytes>, in_flight: &InFlight| {
            in_flight.answered(response.status());
            Reply::Whole(response)
        };
        let silent = |bytes: Bytes, then: Ending, in_flight: InFlight| {
            Reply::Raw(Raw {
                bytes,
                then,
                in_flight,
            })
        };
        if fault.take_effect && !fault.kind.needs_the_true_answer() {
            drop(self.truly(request.clone()).await);
        }
        match fault.kind {
            FaultKind::Answer {
                status,
                headers,
                body,
            } => {
                let response = self.dated(scripted(status, headers, body));
                if response.status().is_informational() {
                    // hyper would make a 500 of it.
                    in_flight.answered(response.status());
                    let mut bytes = head(&response);
                    bytes.extend_from_slice(b"\r\n");
                    silent(bytes.into(), Ending::Close, in_flight)
                } else {
                    whole(response, &in_flight)
                }
            }
            FaultKind::Engine(answer) => {
                whole(self.dated(answer.response(ENGINE_TENANT)), &in_flight)
            }
            FaultKind::Redirect { status, location } => {
                let headers = vec![("location".to_owned(), location)];
                let response = self.dated(scripted(status, headers, String::new()));
                whole(response, &in_flight)
            }
            FaultKind::WrongXml => {
                let response = answer(StatusCode::OK, "text/xml", WRONG_XML.to_owned());
                whole(self.dated(response), &in_flight)
            }
            FaultKind::Delay(delay) => {
                tokio::time::sleep(delay).await;
                whole(self.truly(request).await, &in_flight)
            }
            FaultKind::Hang | FaultKind::StallOnAccept => {
                silent(Bytes::new(), Ending::Hang, in_flight)
            }
            FaultKind::Reset | FaultKind::ResetOnAccept => {
                silent(Bytes::new(), Ending::Reset, in_flight)
            }
            FaultKind::Close => silent(Bytes::new(), Ending::Close, in_flight),
            FaultKind::Garbage(text) => silent(Bytes::from(text), Ending::Close, in_flight),
            FaultKind::ResetAfter { bytes } => {
                let response = self.truly(request).await;
                silent(first(&response, bytes), Ending::Reset, in_flight)
            }
            FaultKind::CutAfter { bytes } => {
                let response = self.truly(request).await;
                silent(first(&response, bytes), Ending::Close, in_flight)
            }
            FaultKind::BrokenBody { status } => {
                let response = self
                    .to_be_corrupted(request, status, fault.take_effect)
                    .await;
                in_flight.answered(response.status());
                let promised = response.body().len() + PROMISED_TOO_MUCH;
                let bytes = on_the_wire(&response, promised).into();
                silent(bytes, Ending::Reset, in_flight)
            }
            FaultKind::EndlessBody { status } => {
                let response = self
                    .to_be_corrupted(request, status, fault.take_effect)
                    .await;
                in_flight.answered(response.status());
                let mut bytes = head(&response);
                bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
                silent(bytes.into(), Ending::Endless(chunk.into()), in_flight)
            }
            FaultKind::HeaderOnly { status } => {
                let response = self
                    .to_be_corrupted(request, status, fault.take_effect)
                    .await;
                in_flight.answered(response.status());
                let mut bytes = head(&response);
                bytes.extend_from_slice(b"content-length: 64\r\n\r\n");
                silent(bytes.into(), Ending::Hang, in_flight)
            }
        }
    }

    /// The answer whose body is going to be corrupted: the true one, or an empty
    /// one with the scripted status.
    async fn to_be_corrupted(
        &self,
        request: Request<Bytes>,
        status: Option<u16>,
        handled: bool,
    ) -> Response<Bytes> {
        match status {
            None => self.truly(request).await,
            Some(status) => {
                if handled {
                    drop(self.truly(request).await);
                }
                self.dated(scripted(status, Vec::new(), String::new()))
            }
        }
    }

    fn dated(&self, mut response: Response<Bytes>) -> Response<Bytes> {
        let headers = response.headers_mut();
        if !headers.contains_key(header::DATE)
            && let Ok(date) = HeaderValue::from_str(&self.clock.http_date())
        {
            headers.insert(header::DATE, date);
        }
        if self.numbered
            && !headers.contains_key(REQUEST_ID)
            && let Ok(number) = HeaderValue::from_str(&request_id())
        {
            headers.insert(REQUEST_ID, number);
        }
        response
    }
}

// === impl FaultKind ===

impl FaultKind {
    /// Whether carrying it out handles the request anyway.
    fn needs_the_true_answer(&self) -> bool {
        match self {
            Self::Delay(_)
            | Self::ResetAfter { .. }
            | Self::CutAfter { .. }
            | Self::BrokenBody { .. }
            | Self::EndlessBody { .. }
            | Self::HeaderOnly { .. } => true,
            Self::Answer { .. }
            | Self::Engine(_)
            | Self::Redirect { .. }
            | Self::WrongXml
            | Self::Hang
            | Self::Reset
            | Self::Close
            | Self::Garbage(_)
            | Self::ResetOnAccept
            | Self::StallOnAccept => false,
        }
    }
}

/// A random UUID, as AWS numbers its answers.
pub(crate) fn request_id() -> String {
    let mut number = u128::from_be_bytes(random_bytes::<16>());
    number &= !(0xf << 76 | 0xc << 60);
    number |= 0x4 << 76 | 0x8 << 60;
    let digits = format!("{number:032x}");
    let mut groups = [8, 4, 4, 4, 12].into_iter().scan(0, |from, length| {
        let start = *from;
        *from += length;
        digits.get(start..*from)
    });
    let mut uuid = String::with_capacity(36);
    for group in groups.by_ref() {
        if !uuid.is_empty() {
            uuid.push('-');
        }
        uuid.push_str(group);
    }
    uuid
}

/// The answer that a script spells out. What HTTP cannot carry is left out.
fn scripted(status: u16, headers: Vec<(String, String)>, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&value),
        ) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// The first `length` bytes of the answer on the wire.
fn first(response: &Response<Bytes>, length: usize) -> Bytes {
    let mut wire = on_the_wire(response, response.body().len());
    wire.truncate(length);
    wire.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_random_uuids() {
        let id = request_id();
        let groups: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, request_id());
    }
}
