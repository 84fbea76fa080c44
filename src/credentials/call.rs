//! One call of a service that gives tokens or credentials: STS or Entra.
//!
//! In: a form and the headers to send it with. Out: the [`Answer`], whatever its status, or a [`CallError`]. Bounded in time and
//! size, and no redirect is followed, because the form carries a token. What was read is wiped from memory when dropped.

use std::time::{Duration, SystemTime};

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode, Uri};
use zeroize::Zeroizing;

use crate::http_date;

/// The content type of what is sent.
pub const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// A call that takes longer is made again instead.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A true answer has about 2 KiB.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Makes the calls; clones share one client.
#[derive(Debug, Clone)]
pub struct Caller(reqwest::Client);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The time of a peer that TLS has verified.
    pub verified_date: Option<SystemTime>,
    body: Zeroizing<Vec<u8>>,
}

/// Why no answer came; the words complete the name of the service.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// DNS, connection, TLS or a connection that broke.
    #[error("could not be reached: {}", chain(.0))]
    Unreachable(#[source] reqwest::Error),
    /// No whole answer came in time.
    #[error("did not answer within 5 s")]
    TimedOut,
    /// The answer is larger than any true one.
    #[error("answered ({0}) with more than 64 KiB")]
    TooLarge(StatusCode),
}

/// The HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the client for STS could not be built: {}", chain(.0))]
pub struct ClientError(#[source] reqwest::Error);

// === impl Caller ===

impl Caller {
    /// A client that trusts what `tls` trusts.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn new(tls: &rustls::ClientConfig) -> Result<Self, ClientError> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            // Neither STS nor AMP is reached through a proxy yet; one of them alone would help nobody.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(3))
            .pool_max_idle_per_host(0)
            .user_agent(crate::USER_AGENT)
            .build()
            .map(Self)
            .map_err(ClientError)
    }

    /// Posts a form.
    ///
    /// # Errors
    /// [`CallError`] where no whole answer came.
    pub async fn post(
        &self,
        url: &Uri,
        mut headers: HeaderMap,
        form: String,
    ) -> Result<Answer, CallError> {
        headers.insert(CONTENT_TYPE, FORM);
        let request = self.0.post(url.to_string()).headers(headers).body(form);
        let mut response = request.send().await.map_err(CallError::of)?;

        let status = response.status();
        let verified = url.scheme_str() == Some("https");
        let verified_date = http_date::of(response.headers()).filter(|_| verified);
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(CallError::of)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(CallError::TooLarge(status));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            verified_date,
            body,
        })
    }
}

// === impl Answer ===

impl Answer {
    /// The body, where it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

// === impl CallError ===

impl CallError {
    /// The metric's label.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::TooLarge(_) => "unusable_answer",
        }
    }

    fn of(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else {
            // The URL may be private.
            Self::Unreachable(error.without_url())
        }
    }
}

/// An error with its causes, which reqwest's own text leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
