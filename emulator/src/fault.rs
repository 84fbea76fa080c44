//! The fault script: what goes wrong at a target, when, and for how long.
//!
//! In: a list of [`Fault`]s, by a call or as JSON over the admin endpoint. Its
//! clock starts when it is set. Out: for each request, and for each new
//! connection, the first fault of the list whose time is now, whose count is
//! not used up and whose path and body fit.
//!
//! Two families. Some replace the answer and the request has no effect:
//! `answer`, `redirect`, `hang`, `reset`, … (unless [`Fault::taking_effect`]
//! says that it is handled first, and only its answer lost). Others need an
//! answer to corrupt and so handle the request: `delay`, `reset_after`,
//! `cut_after`, and `broken_body`, `endless_body`, `header_only` where these
//! name no status of their own.
//!
//! As JSON, times in seconds:
//! `[{"after": 5, "for": 20, "do": "hang"}, {"count": 3, "do": {"answer": {"status": 503}}}]`
//!
//! A batch that one store never takes, while it takes all others, is an entry with `series`: what it names is looked for
//! in the unpacked body, so that a client that splits the batch gets everything through except that series.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::amp::EngineAnswer;
use crate::http::Arrival;
use crate::seconds;

/// A body that unpacks to more than this is not searched for a series.
const UNPACKED_AT_MOST: usize = 128 << 20;

/// One entry of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it begins, counted from when the script is set.
    #[serde(default, with = "seconds")]
    pub after: Duration,
    /// How long it lasts; without end where absent.
    #[serde(
        default,
        rename = "for",
        with = "seconds::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub for_: Option<Duration>,
    /// How many requests it hits; every one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Only requests whose path and query contain this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only requests whose body contains this: STS has one path for all that it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Only requests whose body contains this once it is unpacked (snappy): a metric name, a label's name or value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// Whether the request is handled before its answer is replaced.
    #[serde(default)]
    pub take_effect: bool,
    /// What goes wrong.
    #[serde(rename = "do")]
    pub kind: FaultKind,
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// This answer instead of the true one.
    Answer {
        /// Its status, 100 to 999.
        status: u16,
        /// Its headers.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Its body.
        #[serde(default)]
        body: String,
    },
    /// What AMP's engine says in the case of this name, whatever the request is; see [`EngineAnswer`].
    Engine(EngineAnswer),
    /// A redirect to another place.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to.
        location: String,
    },
    /// 200 with well-formed XML that says nothing useful.
    WrongXml,
    /// The true answer, later.
    #[serde(with = "seconds")]
    Delay(Duration),
    /// The request is read and never answered.
    Hang,
    /// A TCP reset instead of the answer.
    Reset,
    /// An orderly close instead of the answer.
    Close,
    /// A TCP reset after so many bytes of the true answer, head included.
    ResetAfter {
        /// How many bytes still go out.
        bytes: usize,
    },
    /// An orderly close after so many bytes of the true answer.
    CutAfter {
        /// How many bytes still go out.
        bytes: usize,
    },
    /// These characters instead of HTTP.
    Garbage(String),
    /// A head that promises more than the body gives before a reset.
    BrokenBody {
        /// The head's status; the true answer's where absent.
        #[serde(default)]
        status: Option<u16>,
    },
    /// A head, then a chunked body without end.
    EndlessBody {
        /// The head's status; the true answer's where absent.
        #[serde(default)]
        status: Option<u16>,
    },
    /// A head that promises a body, then silence.
    HeaderOnly {
        /// The head's status; the true answer's where absent.
        #[serde(default)]
        status: Option<u16>,
    },
    /// New connections are reset before a byte is read.
    ResetOnAccept,
    /// New connections get no answer, before any TLS handshake.
    StallOnAccept,
}

/// The fault script of one target. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    inner: Arc<Mutex<FaultScript>>,
}

#[derive(Debug, Default)]
struct FaultScript {
    set_at: Option<Instant>,
    entries: Vec<ScheduledFault>,
}

#[derive(Debug)]
struct ScheduledFault {
    fault: Fault,
    hits: u64,
}

// === impl Fault ===

impl Fault {
    /// A fault that begins at once and lasts.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            after: Duration::ZERO,
            for_: None,
            count: None,
            path: None,
            body: None,
            series: None,
            take_effect: false,
            kind,
        }
    }

    /// Begins so long after the script is set.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Ends so long after it began.
    #[must_use]
    pub fn lasting(self, lasting: Duration) -> Self {
        Self {
            for_: Some(lasting),
            ..self
        }
    }

    /// Ends after so many requests.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// Only requests whose path and query contain `part`.
    #[must_use]
    pub fn on_path(self, part: impl Into<String>) -> Self {
        Self {
            path: Some(part.into()),
            ..self
        }
    }

    /// Only requests whose body contains `part`, as `Action=AssumeRole&`.
    #[must_use]
    pub fn on_body(self, part: impl Into<String>) -> Self {
        Self {
            body: Some(part.into()),
            ..self
        }
    }

    /// Only requests whose body contains `part` once it is unpacked.
    #[must_use]
    pub fn on_series(self, part: impl Into<String>) -> Self {
        Self {
            series: Some(part.into()),
            ..self
        }
    }

    fn fits(&self, path: &str, body: &[u8]) -> bool {
        self.path.as_ref().is_none_or(|part| path.contains(part))
            && self.body.as_ref().is_none_or(|part| holds(body, part))
            && self
                .series
                .as_ref()
                .is_none_or(|part| unpacked(body).is_some_and(|plain| holds(&plain, part)))
    }

    /// Handles the request first, so that only its answer is lost.
    #[must_use]
    pub fn taking_effect(self) -> Self {
        Self {
            take_effect: true,
            ..self
        }
    }

    fn is_on(&self, elapsed: Duration, hits: u64) -> bool {
        let begun = elapsed >= self.after;
        let ended = self
            .for_
            .is_some_and(|lasting| elapsed >= self.after.saturating_add(lasting));
        let used_up = self.count.is_some_and(|count| hits >= count);
        begun && !ended && !used_up
    }
}

fn holds(bytes: &[u8], part: &str) -> bool {
    part.is_empty()
        || bytes
            .windows(part.len())
            .any(|some| some == part.as_bytes())
}

/// The body of a remote write without its compression, if it is one.
fn unpacked(body: &[u8]) -> Option<Vec<u8>> {
    let length = snap::raw::decompress_len(body).ok()?;
    if length > UNPACKED_AT_MOST {
        return None;
    }
    let mut plain = vec![0; length];
    snap::raw::Decoder::new()
        .decompress(body, &mut plain)
        .ok()?;
    Some(plain)
}

// === impl FaultKind ===

impl FaultKind {
    /// An answer with this status and body, and no headers of its own.
    #[must_use]
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// An answer of the store: plain text, as the engine types it.
    #[must_use]
    pub fn plain_text(status: u16, text: impl Into<String>) -> Self {
        Self::typed(status, "text/plain; charset=utf-8", text.into())
    }

    /// An answer of something in between, a captive portal or a block page: a web page with any status, 200 included.
    #[must_use]
    pub fn html(status: u16, title: &str) -> Self {
        let page = format!(
            "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
        );
        Self::typed(status, "text/html; charset=utf-8", page)
    }

    /// An answer of AWS' front door: JSON with a `message`, and its error type in a header.
    #[must_use]
    pub fn front_door(status: u16, error_type: &str, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        let mut answer = Self::typed(status, "application/json", body);
        if let Self::Answer { headers, .. } = &mut answer {
            headers.push(("x-amzn-errortype".to_owned(), error_type.to_owned()));
        }
        answer
    }

    /// The engine's answer of this name, if it has one.
    #[must_use]
    pub fn engine(name: &str) -> Option<Self> {
        EngineAnswer::named(name).map(Self::Engine)
    }

    fn typed(status: u16, content_type: &str, body: String) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body,
        }
    }

    /// The name that journals and `/state` use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "answer",
            Self::Engine(_) => "engine",
            Self::Redirect { .. } => "redirect",
            Self::WrongXml => "wrong_xml",
            Self::Delay(_) => "delay",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::Close => "close",
            Self::ResetAfter { .. } => "reset_after",
            Self::CutAfter { .. } => "cut_after",
            Self::Garbage(_) => "garbage",
            Self::BrokenBody { .. } => "broken_body",
            Self::EndlessBody { .. } => "endless_body",
            Self::HeaderOnly { .. } => "header_only",
            Self::ResetOnAccept => "reset_on_accept",
            Self::StallOnAccept => "stall_on_accept",
        }
    }

    fn arrival(&self) -> Option<Arrival> {
        match self {
            Self::ResetOnAccept => Some(Arrival::Reset),
            Self::StallOnAccept => Some(Arrival::Stall),
            _ => None,
        }
    }
}

// === impl Faults ===

impl Faults {
    /// Replaces the script; its clock starts now.
    pub fn set(&self, faults: impl IntoIterator<Item = Fault>) {
        let entries = faults
            .into_iter()
            .map(|fault| ScheduledFault { fault, hits: 0 })
            .collect();
        *self.lock() = FaultScript {
            set_at: Some(Instant::now()),
            entries,
        };
    }

    /// Ends all faults. Requests that hang already keep hanging.
    pub fn clear(&self) {
        self.set([]);
    }

    /// The script as it was set.
    #[must_use]
    pub fn script(&self) -> Vec<Fault> {
        self.lock()
            .entries
            .iter()
            .map(|entry| entry.fault.clone())
            .collect()
    }

    /// How many requests or connections each entry of the script has hit so far.
    #[must_use]
    pub fn hits(&self) -> Vec<u64> {
        self.lock().entries.iter().map(|entry| entry.hits).collect()
    }

    /// The fault that hits a request to `path` now, and counts it.
    pub(crate) fn at_request(&self, path: &str, body: &[u8]) -> Option<Fault> {
        self.first(|fault| fault.kind.arrival().is_none() && fault.fits(path, body))
    }

    /// What happens to a new connection now.
    pub(crate) fn at_arrival(&self) -> Arrival {
        self.first(|fault| fault.kind.arrival().is_some())
            .and_then(|fault| fault.kind.arrival())
            .unwrap_or(Arrival::Serve)
    }

    fn first(&self, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut script = self.lock();
        let elapsed = script.set_at?.elapsed();
        let entry = script
            .entries
            .iter_mut()
            .find(|entry| fits(&entry.fault) && entry.fault.is_on(elapsed, entry.hits))?;
        entry.hits += 1;
        Some(entry.fault.clone())
    }

    fn lock(&self) -> MutexGuard<'_, FaultScript> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
