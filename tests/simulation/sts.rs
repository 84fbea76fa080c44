//! Simulated STS: the peer of the sidecar's HTTP client.
//!
//! In: the bytes that the client writes, read by hyper's server. Out: a response, a fault, or nothing until the client times
//! out.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amp_sidecar::net::connect::{Connect, Connectors};
use amp_sidecar::net::error::ConnectError;
use amp_sidecar::net::stream::Stream;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Uri, header};
use hyper_util::rt::TokioIo;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::amp;
use crate::faults::StsFault;
use crate::watch::Ended;
use crate::world::{Key, World, role};

/// After these errors a retry soon makes sense, by the table of the contract; after all others slowly.
const SOON: [&str; 7] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "InternalFailure",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "Throttling",
];

/// A signer's clock may be off by this much.
const SKEW: Duration = Duration::from_secs(300);

/// STS as one workspace's client sees it.
#[derive(Debug, Clone)]
pub struct Sts {
    pub world: Arc<World>,
    pub instance: usize,
}

type Body = BoxBody<Bytes, io::Error>;

/// A call in progress; a dropped one was cancelled.
struct Call<'a> {
    sts: &'a Sts,
    /// How this call ends the exchange, if it does.
    ends: Option<Ended>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Sts { world, instance } = self.sts;
        let now = world.now();
        if let Some(ends) = self.ends {
            world.watch().exchange_ends(now, *instance, ends);
        }
        world.note(format_args!("sts {instance}: ended {:?}", self.ends));
    }
}

impl Connectors for Sts {
    fn connector(&self, _: &Uri) -> Option<Box<dyn Connect>> {
        Some(Box::new(self.clone()))
    }
}

impl Connect for Sts {
    fn is_verified(&self) -> bool {
        true
    }

    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send + '_>> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let sts = self.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| sts.answer(request));
            // The client sees where it breaks.
            http1::Builder::new()
                .serve_connection(TokioIo::new(theirs), service)
                .await
                .ok();
        });
        Box::pin(std::future::ready(Ok(Stream::new(ours))))
    }
}

impl Sts {
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let Self { world, instance } = self;
        let (head, body) = request.into_parts();
        let form = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let field = |name: &str| {
            let found = form_urlencoded::parse(&form).find(|(one, _)| one == name);
            found.map_or_else(String::new, |(_, value)| value.into_owned())
        };
        let role_arn = field("RoleArn");
        let hop = (0..=world.plan.hops).find(|number| role(*number) == role_arn);
        let hop = hop.expect("a role of the chain");
        if hop == 0 {
            let now = world.now();
            world.watch().exchange_begins(now, *instance);
        }
        let fault = world.sts_fault();
        world.note(format_args!("sts {instance}: called for {hop}, {fault:?}"));
        let mut call = Call {
            sts: self,
            ends: Some(Ended::Soon),
        };
        tokio::time::sleep(world.millis(5, 300)).await;
        match fault {
            Some(StsFault::Hang) => std::future::pending().await,
            Some(StsFault::Slow(by)) => tokio::time::sleep(*by).await,
            Some(StsFault::Unreachable) => return Err(io::ErrorKind::ConnectionReset.into()),
            _ => {}
        }
        let date = match fault {
            Some(StsFault::WrongDate(millis)) => shifted(world.true_time(), *millis),
            _ => world.true_time(),
        };
        let answer = |status: u16, body: Body| {
            let date = httpdate::fmt_http_date(date);
            let response = Response::builder()
                .status(status)
                .header(header::DATE, date);
            Ok(response.body(body).unwrap())
        };
        let refuse = |call: &mut Call<'_>, status: u16, code: &str| {
            if !SOON.contains(&code) && status < 500 {
                call.ends = Some(Ended::Slowly);
            }
            let xml = format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>as planned</Message></Error></ErrorResponse>"
            );
            answer(status, whole(xml))
        };
        match fault {
            Some(StsFault::Refuse(status, code)) => return refuse(&mut call, *status, code),
            Some(StsFault::Html(status)) => return answer(*status, whole("<html>hello</html>")),
            Some(StsFault::Huge) => return answer(200, whole(vec![b'x'; 70_000])),
            Some(StsFault::NotUtf8) => return answer(200, whole(vec![0xff; 100])),
            _ => {}
        }
        let refused = match hop {
            0 => world.judge(&field("WebIdentityToken")),
            _ => self.judge(hop, &head.headers),
        };
        if let Some((status, code)) = refused {
            return refuse(&mut call, status, code);
        }
        let life = match fault {
            Some(StsFault::Lives(seconds)) => Duration::from_secs(*seconds),
            // Like a proxy that caches a response and sends it to every client.
            Some(StsFault::LivesUntilTheEnd) => world
                .plan
                .chaos
                .saturating_sub(world.now())
                .max(Duration::from_secs(1)),
            _ => world.plan.session,
        };
        let now = world.true_time();
        let session = world.sessions.issue(&role_arn, "pod", life, now);
        let expires = match fault {
            Some(StsFault::Over) => now - Duration::from_secs(60),
            _ => session.expiration,
        };
        let stamp = OffsetDateTime::from(expires).replace_nanosecond(0).unwrap();
        let expiration = match fault {
            Some(StsFault::NoTime) => "soon".to_owned(),
            _ => stamp.format(&Rfc3339).unwrap(),
        };
        let key = match fault {
            Some(StsFault::EmptyKey) => "",
            _ => &session.access_key_id,
        };
        let mut xml = format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>{}</SessionToken><SecretAccessKey>{}</SecretAccessKey><Expiration>{expiration}</Expiration><AccessKeyId>{key}</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
            session.session_token, session.secret_access_key
        );
        match fault {
            Some(StsFault::Cut) => xml.truncate(xml.len() / 2),
            Some(StsFault::BodyBreaks | StsFault::BodyStalls) => {
                return answer(
                    200,
                    halved(&xml, matches!(fault, Some(StsFault::BodyStalls))),
                );
            }
            Some(StsFault::Over | StsFault::NoTime | StsFault::EmptyKey) => {}
            // A client with a wrong clock may find it expired.
            _ => {
                let is_last = hop == world.plan.hops;
                let keys = if is_last {
                    &world.keys
                } else {
                    &world.keys_on_the_way
                };
                let mut keys = keys.lock().unwrap();
                let number = keys.len();
                let issued = Key {
                    number,
                    instance: *instance,
                    hop,
                    expires: stamp.into(),
                };
                keys.insert(session.access_key_id.clone(), issued);
                let clear =
                    life >= Duration::from_secs(3) && !world.plan.time_was_wrong(world.now());
                call.ends = match clear {
                    // If the response is usable, the client continues with it.
                    true if !is_last => None,
                    true => Some(Ended::Obtained),
                    false => Some(Ended::Unclear),
                };
                if is_last {
                    let until = world.now() + life.min(world.plan.session);
                    world.watch().obtained(until);
                }
                world.note(format_args!(
                    "sts {instance}: key {number} of {hop} for {} s",
                    life.as_secs()
                ));
            }
        }
        answer(200, whole(xml))
    }
}

impl Sts {
    /// Why STS rejects the previous session for this hop; `None` if it accepts it.
    fn judge(&self, hop: usize, headers: &HeaderMap) -> Option<(u16, &'static str)> {
        let world = &self.world;
        let Some((named, signed_at)) = amp::signature(headers) else {
            world.violated("STS was amp_request for a hop without a signature");
            return Some((403, "MissingAuthenticationToken"));
        };
        let known = world.keys_on_the_way.lock().unwrap().get(named).copied();
        let Some(key) = known.filter(|key| key.hop + 1 == hop) else {
            world.violated(format_args!(
                "hop {hop} was signed by another than the one before"
            ));
            return Some((403, "InvalidClientTokenId"));
        };
        let now = world.true_time();
        let off = now
            .duration_since(signed_at)
            .unwrap_or_else(|error| error.duration());
        if off > SKEW {
            return Some((403, "SignatureDoesNotMatch"));
        }
        (key.expires <= now).then_some((403, "ExpiredTokenException"))
    }
}

fn whole(body: impl Into<Bytes>) -> Body {
    let body = Full::new(body.into());
    body.map_err(|never| match never {}).boxed()
}

/// Half of the response, then a stall or a reset.
fn halved(xml: &str, stalls: bool) -> Body {
    let half = Bytes::copy_from_slice(&xml.as_bytes()[..xml.len() / 2]);
    let begins = futures_util::stream::iter([Ok(Frame::data(half))]);
    let rest = futures_util::stream::once(async move {
        if stalls {
            std::future::pending::<()>().await;
        }
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    BodyExt::boxed(StreamBody::new(begins.chain(rest)))
}

pub fn shifted(time: SystemTime, millis: i64) -> SystemTime {
    let by = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { time - by } else { time + by }
}
