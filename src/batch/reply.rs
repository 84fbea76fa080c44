//! What AMP answered, and what it means.
//!
//! In: status, headers and a bounded body, as `forward` read them. Out: a [`Meaning`]: a verdict that stands, or a fault
//! that another try with other credentials, another clock or a smaller batch may mend.
//!
//! AMP's front door answers in JSON (`{"message":…}` or `{"Message":…}`, the error type in `x-amzn-ErrorType` or `__type`), the
//! store behind it in plain text. Neither is documented as a whole, so error types are looked at first, words second,
//! and whatever is not understood goes by its status.

use std::time::{Duration, SystemTime};

use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::batch::verdict::{Refusal, Verdict};
use crate::batch::written::Written;
use crate::http_date;
use crate::quote::quote;

/// What the role must be allowed to do with the workspace.
pub const ACTION: &str = "aps:RemoteWrite";

/// AMP's answer.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    /// Without the namespace before `#` and the URL behind `:`.
    error_type: String,
    said: String,
    written: Written,
    pause: Option<Duration>,
    /// The time at AMP: of refusals only, and only where they came over verified TLS.
    pub date: Option<SystemTime>,
}

/// What an answer means.
#[derive(Debug)]
pub enum Meaning {
    /// This is what became of the batch.
    Final(Verdict),
    /// Credentials or signature were not taken; the verdict where it cannot be mended.
    Unauthenticated(Verdict),
    /// The batch is too large for AMP; the verdict where it cannot be split.
    TooLarge(Verdict),
}

/// Either spelling of AMP's JSON errors.
#[derive(Deserialize, Default)]
struct JsonError {
    #[serde(alias = "Message", default)]
    message: String,
    #[serde(rename = "__type", default)]
    error_type: String,
}

// === impl Reply ===

impl Reply {
    /// Takes from an answer what matters, and bounds it.
    #[must_use]
    pub fn new(status: StatusCode, headers: &HeaderMap, body: &[u8], verified: bool) -> Self {
        if status.is_success() {
            // Of nearly every answer there is nothing more to be told.
            return Self {
                status,
                error_type: String::new(),
                said: String::new(),
                written: Written::of(headers),
                pause: None,
                date: None,
            };
        }
        let json: Option<JsonError> = serde_json::from_slice(body).ok();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let error_type = header("x-amzn-errortype").map(str::to_owned);
        let json_type = json.as_ref().map(|json| json.error_type.clone());
        let said = json
            .map(|json| json.message)
            .filter(|message| !message.is_empty());
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        let said = quote(without_canonical_request(&said));
        Self {
            status,
            error_type: bare_type(&error_type.or(json_type).unwrap_or_default()),
            said: if said.is_empty() {
                status.to_string()
            } else {
                said
            },
            written: Written::of(headers),
            pause: header(RETRY_AFTER.as_str())
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs),
            date: verified.then(|| http_date::of(headers)).flatten(),
        }
    }

    /// AMP's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// AMP's words, made fit to be shown.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Whether AMP did not take credentials or signature.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        match self.status.as_u16() {
            401 | 403 => true,
            400 => self.is_authentication(),
            _ => false,
        }
    }

    /// Whether the role may not do what was asked.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.error_type.starts_with("AccessDenied")
            || self.said.contains("not authorized to perform")
    }

    /// What the answer means; `workspace_arn` names what a denied role must be allowed to write to.
    #[must_use]
    pub fn meaning(self, workspace_arn: &str) -> Meaning {
        let status = self.status;
        let verdict = match status.as_u16() {
            200..=299 => Verdict::Stored {
                status,
                written: self.written,
            },
            400 | 401 | 403 if self.is_unauthenticated() => {
                return self.unauthenticated(workspace_arn);
            }
            400 if self.is_throttling() => Verdict::Throttled {
                pause: self.pause,
                said: self.said,
            },
            400 | 429 if self.is_series_limit() => Verdict::SeriesLimit { said: self.said },
            400 => Verdict::Refused {
                reason: self.refusal(),
                said: self.said,
            },
            404 => Verdict::WorkspaceNotFound { said: self.said },
            405 | 408 | 409 => Verdict::Unexpected {
                status,
                said: self.said,
            },
            413 => return Meaning::TooLarge(Verdict::TooLargeForAmp { said: self.said }),
            429 => Verdict::Throttled {
                pause: self.pause,
                said: self.said,
            },
            402..=499 => Verdict::RefusedOther {
                status,
                said: self.said,
            },
            500 | 502 | 503 | 504 => Verdict::AmpFailing {
                status,
                pause: self.pause,
                said: self.said,
            },
            _ => Verdict::Unexpected {
                status,
                said: self.said,
            },
        };
        Meaning::Final(verdict)
    }

    fn unauthenticated(self, workspace_arn: &str) -> Meaning {
        let denied = self.is_denied();
        let said = self.said;
        Meaning::Unauthenticated(if denied {
            let missing = format!("the role needs {ACTION} on {workspace_arn}");
            Verdict::AccessDenied { said, missing }
        } else {
            Verdict::Unauthenticated { said }
        })
    }

    /// AWS' common error types, and the words of those that come without one.
    fn is_authentication(&self) -> bool {
        const TYPES: &[&str] = &[
            "AccessDenied",
            "AccessDeniedException",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "InvalidToken",
            "InvalidTokenException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "TokenRefreshRequired",
            "UnrecognizedClientException",
        ];
        const WORDS: &[&str] = &[
            "security token included in the request",
            "request signature we calculated",
            "signature expired",
            "signature not yet current",
            "missing authentication token",
            "incomplete signature",
            "credential should be scoped",
        ];
        TYPES.contains(&self.error_type.as_str()) || self.says(WORDS)
    }

    fn is_throttling(&self) -> bool {
        const TYPES: &[&str] = &[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "TooManyRequestsException",
        ];
        TYPES.contains(&self.error_type.as_str())
            || self.says(&["rate exceeded", "ingestion rate limit"])
    }

    fn is_series_limit(&self) -> bool {
        self.says(&["series limit", "max-series", "maximum series"])
    }

    fn refusal(&self) -> Refusal {
        const REASONS: &[(Refusal, &[&str])] = &[
            (
                Refusal::Duplicate,
                &[
                    "duplicate sample",
                    "new-value-for-timestamp",
                    "already been ingested",
                ],
            ),
            (Refusal::OutOfOrder, &["out of order", "out-of-order"]),
            (Refusal::TooOld, &["too old", "out of bounds", "older than"]),
            (
                Refusal::LabelLimit,
                &[
                    "label names",
                    "label name too long",
                    "label value too long",
                    "max-label",
                    "labels size",
                ],
            ),
        ];
        REASONS
            .iter()
            .find(|(_, words)| self.says(words))
            .map_or(Refusal::Invalid, |(reason, _)| *reason)
    }

    fn says(&self, words: &[&str]) -> bool {
        let said = self.said.to_ascii_lowercase();
        words.iter().any(|word| said.contains(word))
    }
}

/// AWS explains a wrong signature by the canonical request, and in it stands the session token.
fn without_canonical_request(said: &str) -> &str {
    let said = said.trim_start();
    let line = said.lines().next().unwrap_or_default();
    line.split("The Canonical String")
        .next()
        .unwrap_or_default()
}

/// `namespace#Type:http://…` to `Type`, the forms that AWS' protocols allow.
fn bare_type(text: &str) -> String {
    let text = text.rsplit('#').next().unwrap_or_default();
    quote(text.split(':').next().unwrap_or_default())
}

#[cfg(test)]
mod tests;
