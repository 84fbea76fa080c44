//! STS, where the sidecar's calls end.
//!
//! In: a request as it would go to the wire. Out: an answer, a fault, or nothing until the caller has had enough.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amp_sidecar::credentials::call::Carry;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::{Response, header};
use reqwest::Body;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::plan::StsFault;
use crate::watch::Ended;
use crate::world::{Key, ROLE, World};

/// Soon is another try after these, by the table of the contract; slowly after all other refusals.
const SOON: [&str; 7] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "InternalFailure",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "Throttling",
];

/// Carries the calls of one workspace.
#[derive(Debug)]
pub struct Carrier {
    pub world: Arc<World>,
    pub instance: usize,
}

/// A call under way; one that is dropped was given up.
struct Call<'a> {
    carrier: &'a Carrier,
    ends: Ended,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Carrier { world, instance } = self.carrier;
        let now = world.now();
        world.watch().exchange_ends(now, *instance, self.ends);
        world.note(format_args!("sts {instance}: ended {:?}", self.ends));
    }
}

impl Carry for Carrier {
    fn carry(
        &self,
        request: reqwest::Request,
    ) -> Pin<Box<dyn Future<Output = reqwest::Result<reqwest::Response>> + Send + '_>> {
        Box::pin(self.answer(request))
    }
}

impl Carrier {
    async fn answer(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        let Self { world, instance } = self;
        let now = world.now();
        world.watch().exchange_begins(now, *instance);
        let fault = world.sts_fault();
        world.note(format_args!("sts {instance}: called, {fault:?}"));
        let mut call = Call {
            carrier: self,
            ends: Ended::Soon,
        };
        tokio::time::sleep(world.millis(5, 300)).await;
        let form = request.body().and_then(Body::as_bytes).unwrap_or_default();
        let token = form_urlencoded::parse(form)
            .find(|(name, _)| name == "WebIdentityToken")
            .map(|(_, token)| token.into_owned())
            .unwrap_or_default();
        match fault {
            Some(StsFault::Hang) => std::future::pending().await,
            Some(StsFault::Slow(by)) => tokio::time::sleep(*by).await,
            Some(StsFault::Unreachable) => return Err(unreachable()),
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
            Ok(reqwest::Response::from(response.body(body).unwrap()))
        };
        let refuse = |call: &mut Call<'_>, status: u16, code: &str| {
            if !SOON.contains(&code) && status < 500 {
                call.ends = Ended::Slowly;
            }
            let xml = format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>as planned</Message></Error></ErrorResponse>"
            );
            answer(status, xml.into())
        };
        match fault {
            Some(StsFault::Refuse(status, code)) => return refuse(&mut call, *status, code),
            Some(StsFault::Html(status)) => return answer(*status, "<html>hello</html>".into()),
            Some(StsFault::Huge) => return answer(200, vec![b'x'; 70_000].into()),
            Some(StsFault::NotUtf8) => return answer(200, vec![0xff; 100].into()),
            _ => {}
        }
        if let Some((status, code)) = world.judge(&token) {
            return refuse(&mut call, status, code);
        }
        let life = match fault {
            Some(StsFault::Lives(seconds)) => Duration::from_secs(*seconds),
            // As one who keeps an answer and gives it to all who ask.
            Some(StsFault::LivesUntilTheEnd) => world
                .plan
                .chaos
                .saturating_sub(world.now())
                .max(Duration::from_secs(1)),
            _ => world.plan.session,
        };
        let now = world.true_time();
        let session = world.sessions.issue(ROLE, "pod", life, now);
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
            // A caller with a wrong time may find it over.
            _ => {
                let mut keys = world.keys.lock().unwrap();
                let number = keys.len();
                let issued = Key {
                    number,
                    instance: *instance,
                    expires: stamp.into(),
                };
                keys.insert(session.access_key_id.clone(), issued);
                let clear =
                    life >= Duration::from_secs(3) && !world.plan.time_was_wrong(world.now());
                call.ends = if clear {
                    Ended::Obtained
                } else {
                    Ended::Unclear
                };
                let until = world.now() + life.min(world.plan.session);
                world.watch().obtained(until);
                world.note(format_args!(
                    "sts {instance}: key {number} for {} s",
                    life.as_secs()
                ));
            }
        }
        answer(200, xml.into())
    }
}

/// Half of the answer, and then nothing or a reset.
fn halved(xml: &str, stalls: bool) -> Body {
    let half = Bytes::copy_from_slice(&xml.as_bytes()[..xml.len() / 2]);
    let begins = futures_util::stream::iter([Ok(Frame::data(half))]);
    let rest = futures_util::stream::once(async move {
        if stalls {
            std::future::pending::<()>().await;
        }
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    Body::wrap(StreamBody::new(begins.chain(rest)))
}

/// An error of reqwest's, which cannot be made but by a request that is none.
fn unreachable() -> reqwest::Error {
    let mut request = hyper::Request::new(String::new());
    *request.uri_mut() = hyper::Uri::from_static("/nowhere");
    reqwest::Request::try_from(request).unwrap_err()
}

pub fn shifted(time: SystemTime, millis: i64) -> SystemTime {
    let by = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { time - by } else { time + by }
}
