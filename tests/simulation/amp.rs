//! Simulated AMP: the peer of the sidecar's upstream connections.
//!
//! In: the bytes that the sidecar writes, read by hyper's server. Out: the response of the emulator's AMP, which verifies each
//! signature by the specification, or a fault. Before that, each request is checked: which key signed it, and when.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use amp_sidecar::net::connect::{CONNECT_TIMEOUT, Connect};
use amp_sidecar::net::error::ConnectError;
use amp_sidecar::net::stream::Stream;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, DATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use time::PrimitiveDateTime;
use time::macros::format_description;
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::answers::AmpRequest;
use crate::faults::AmpFault;
use crate::sts::shifted;
use crate::world::{Key, World};

/// AMP, or the address at which it should be.
#[derive(Debug)]
pub struct Upstream(pub Arc<World>);

/// The connection ends here.
#[derive(Debug, thiserror::Error)]
#[error("spoiled")]
struct Spoiled;

type Answered = Result<Response<BoxBody<Bytes, io::Error>>, Spoiled>;

impl Connect for Upstream {
    fn is_verified(&self) -> bool {
        true
    }

    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send + '_>> {
        Box::pin(self.open())
    }
}

impl Upstream {
    async fn open(&self) -> Result<Stream, ConnectError> {
        let world = &self.0;
        let host = || "aps-workspaces.example".to_owned();
        match world.amp_fault() {
            Some(AmpFault::Refused) => Err(ConnectError::Tcp {
                address: ([192, 0, 2, 1], 443).into(),
                source: io::ErrorKind::ConnectionRefused.into(),
            }),
            Some(AmpFault::Unresolved) => Err(ConnectError::Resolve {
                host: host(),
                source: io::Error::other("no such name"),
            }),
            Some(AmpFault::Swallowed) => {
                tokio::time::sleep(CONNECT_TIMEOUT).await;
                Err(ConnectError::TimedOut(host()))
            }
            Some(AmpFault::Tls) => Err(ConnectError::Tls {
                host: host(),
                source: io::Error::other("not trusted"),
            }),
            _ => {
                tokio::time::sleep(world.millis(1, 20)).await;
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                tokio::spawn(serve(Arc::clone(world), theirs));
                Ok(Stream::new(ours))
            }
        }
    }
}

async fn serve(world: Arc<World>, io: DuplexStream) {
    let garbage = AtomicBool::new(false);
    let requests = AtomicUsize::new(0);
    let service = service_fn(|request| {
        let before = requests.fetch_add(1, Ordering::Relaxed);
        let (world, garbage) = (&world, &garbage);
        Box::pin(async move {
            let mut response = answer(world, request, before, garbage).await?;
            // Otherwise hyper would add the machine's own time.
            let date = httpdate::fmt_http_date(world.true_time());
            let dated = response.headers_mut().entry(DATE);
            dated.or_insert(date.try_into().expect("a date is text"));
            Ok::<_, Spoiled>(response)
        })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(io), service);
    let served = std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await;
    if served.is_err() && garbage.load(Ordering::Relaxed) {
        let mut io = connection.into_parts().io.into_inner();
        // The other side may be gone.
        io.write_all(b"\x15\x03\x01 this is not HTTP\r\n\r\n")
            .await
            .ok();
    }
}

async fn answer(
    world: &World,
    request: Request<Incoming>,
    before: usize,
    garbage: &AtomicBool,
) -> Answered {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Spoiled)?.to_bytes();
    let key = signer(world, &head.headers);
    let Some(amp_request) = AmpRequest::read(&body, world.watch().parts.nonempty()) else {
        world.violated("AMP was sent what is no batch");
        return Err(Spoiled);
    };
    let fault = world.fault_of(&amp_request);
    let fault = fault.as_ref();
    world.watch().attempts += 1;
    let open = world.watch().parts.arrives(&amp_request);
    let number = key.map(|key| key.number);
    world.note(format_args!(
        "amp: {} bytes, {} series signed by key {number:?}, {fault:?}",
        body.len(),
        amp_request.series.len()
    ));
    tokio::time::sleep(world.millis(2, 90)).await;
    match fault {
        Some(AmpFault::Slow(by) | AmpFault::RefusedLate(by) | AmpFault::SaysLate(by, _)) => {
            tokio::time::sleep(*by).await;
        }
        Some(AmpFault::Hang) => std::future::pending().await,
        Some(AmpFault::BreaksUnread) => return Err(Spoiled),
        Some(AmpFault::KeepsNothingOpen) if before > 0 => return Err(Spoiled),
        Some(AmpFault::Garbage) => {
            garbage.store(true, Ordering::Relaxed);
            return Err(Spoiled);
        }
        _ => {}
    }
    if let Some(response) = fault.and_then(|fault| amp_request.response(fault)) {
        let status = response.status().as_u16();
        world.refuses_canaries(&amp_request);
        if matches!(status, 401 | 403) {
            reason(world, key);
        }
        let may_lose = match fault {
            Some(AmpFault::BadData) => true,
            // It cannot be split further.
            Some(AmpFault::TooLarge(_)) => amp_request.is_single(),
            _ => false,
        };
        world
            .watch()
            .parts
            .refused(&amp_request, open, status, may_lose);
        return Ok(response.map(|said| text(&said)));
    }
    let now = match fault {
        Some(AmpFault::WrongClock(millis)) => shifted(world.true_time(), *millis),
        _ => world.true_time(),
    };
    world.limit(fault);
    let response = world.amp.handle(now, Request::from_parts(head, body)).await;
    let (head, body) = response.into_parts();
    let said = String::from_utf8_lossy(&body);
    let status = head.status.as_u16();
    world.note(format_args!("amp: {status} {}", said.trim_end()));
    if !head.status.is_success() {
        world.refuses_canaries(&amp_request);
    }
    match status {
        200..=299 => {
            world.watch().stored += 1;
            let wrong = world.watch().parts.taken(&amp_request, open);
            if let Some(wrong) = wrong {
                world.violated(wrong);
            }
        }
        // For good, unless it can be split.
        400 if !head.headers.contains_key("x-amzn-errortype") => {
            let may_lose = amp_request.is_single() || !said.starts_with("received message larger");
            world
                .watch()
                .parts
                .refused(&amp_request, open, status, may_lose);
        }
        400 | 401 | 403 => {
            reason(world, key);
            world
                .watch()
                .parts
                .refused(&amp_request, open, status, false);
            let forged = [
                "we calculated does not match",
                "Authorization header",
                "scoped",
            ];
            if forged.iter().any(|words| said.contains(words)) {
                world.violated(format_args!("AMP was sent a bad signature: {said}"));
            }
        }
        _ => {
            let may_lose = amp_request.is_single() && said.contains("larger than max");
            world
                .watch()
                .parts
                .refused(&amp_request, open, status, may_lose);
        }
    }
    match fault {
        Some(AmpFault::BreaksOnceStored) => Err(Spoiled),
        Some(AmpFault::BodyBreaksOnceStored) => Ok(Response::from_parts(head, halved(false))),
        Some(AmpFault::BodyStallsOnceStored) => Ok(Response::from_parts(head, halved(true))),
        _ => Ok(Response::from_parts(head, text(&said))),
    }
}

/// AMP's response is a reason for another exchange.
fn reason(world: &World, key: Option<Key>) {
    if let Some(key) = key {
        world.watch().has_reason(key.instance);
    }
}

/// The key that the request names; AMP verifies the signature itself.
fn signer(world: &World, headers: &hyper::HeaderMap) -> Option<Key> {
    let Some((named, signed_at)) = signature(headers) else {
        world.violated("AMP was sent a request without a signature");
        return None;
    };
    let known = world.keys.lock().unwrap().get(named).copied();
    let Some(key) = known else {
        world.violated("AMP was sent a request signed by a key that STS never gave");
        return None;
    };
    if signed_at >= key.expires {
        let over = signed_at.duration_since(key.expires).unwrap_or_default();
        world.violated(format_args!(
            "signed by key {}, which was over {over:?} before the time that was signed",
            key.number
        ));
    }
    Some(key)
}

/// The key and the signing time that the request names.
pub fn signature(headers: &hyper::HeaderMap) -> Option<(&str, SystemTime)> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let scheme = "AWS4-HMAC-SHA256 Credential=";
    let named = header(AUTHORIZATION.as_str())?.strip_prefix(scheme)?;
    Some((named.split('/').next()?, time_of(header("x-amz-date")?)?))
}

fn time_of(stamp: &str) -> Option<SystemTime> {
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = PrimitiveDateTime::parse(stamp, form).ok()?;
    Some(time.assume_utc().into())
}

fn text(said: &str) -> BoxBody<Bytes, io::Error> {
    let whole = Full::from(said.to_owned());
    whole.map_err(|never: Infallible| match never {}).boxed()
}

/// The start of a body, then a stall or a reset.
fn halved(stalls: bool) -> BoxBody<Bytes, io::Error> {
    let begins = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"o")))]);
    let rest = futures_util::stream::once(async move {
        if stalls {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    BodyExt::boxed(StreamBody::new(begins.chain(rest)))
}
