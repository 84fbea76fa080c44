//! AMP's response, and what it means.
//!
//! In: status, headers and a bounded body, as `forward` read them. Out: a [`ReplyClass`]: a final verdict, or a failure that
//! another request may avoid: with other credentials, a corrected clock, a smaller payload, or remote write 1.0.
//!
//! The responder is identified first ([`responder`]); then status and text are read as that responder means them. A response
//! from a proxy never decides about samples: it is `unexpected`, and the sender keeps them.

mod responder;
mod store;

use std::time::{Duration, SystemTime};

use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};

use crate::http::{between, date};
use crate::outcome::verdict::{RefusalReason, Verdict};
use crate::remedies::policies;
use crate::remote_write::written_stats::WrittenStats;

use responder::Responder;
pub use store::ShownLimit;
use store::StoreText;

/// The IAM action that the role needs on the workspace.
pub const ACTION: &str = "aps:RemoteWrite";

/// AMP's response, reduced to what decides the verdict.
#[derive(Debug)]
pub struct AmpResponse {
    status: StatusCode,
    /// `None` for a success without a body.
    responder: Option<Responder>,
    written: WrittenStats,
    pause: Option<Duration>,
    /// AMP's time; set only for refusals over verified TLS.
    pub date: Option<SystemTime>,
}

/// How a batch goes on after AMP's response.
#[derive(Debug)]
pub enum ReplyClass {
    /// Nothing more to try.
    Final(Verdict),
    /// AMP refused out-of-order exemplars and stored everything else: the verdict on the rest.
    WithoutExemplars(Verdict),
    /// AMP rejected credentials or signature: the verdict if that cannot be fixed.
    Unauthenticated(Verdict),
    /// The batch is too large for AMP: the verdict if it cannot be split.
    TooLarge(Verdict, ShownLimit),
    /// AMP does not accept it as remote write 2.0: the verdict if it was not 2.0.
    NotAsV2(Verdict),
}

// === impl ReplyClass ===

impl ReplyClass {
    #[cfg(any(test, feature = "internals"))]
    /// The verdict if nothing else is tried.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Final(verdict)
            | Self::WithoutExemplars(verdict)
            | Self::Unauthenticated(verdict)
            | Self::TooLarge(verdict, _)
            | Self::NotAsV2(verdict) => verdict,
        }
    }
}

// === impl AmpResponse ===

impl AmpResponse {
    /// Extracts the relevant parts of a response, bounded in size.
    #[must_use]
    pub fn new(status: StatusCode, headers: &HeaderMap, body: &[u8], verified: bool) -> Self {
        let plain_success = status.is_success() && body.is_empty() && !between::is_html(headers);
        let pause = || {
            let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
            Some(Duration::from_secs(seconds))
        };
        Self {
            status,
            responder: (!plain_success).then(|| Responder::of(headers, body)),
            written: WrittenStats::of(headers),
            pause: if status.is_success() { None } else { pause() },
            date: (verified && !status.is_success())
                .then(|| date::of(headers))
                .flatten(),
        }
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response's error text, sanitized; the status if there is no text.
    #[must_use]
    pub fn said(&self) -> String {
        let said = self.responder.as_ref().map_or("", Responder::said);
        if said.is_empty() {
            self.status.to_string()
        } else {
            said.to_owned()
        }
    }

    /// Whether AMP rejected the credentials or the signature.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        match (self.status.as_u16(), &self.responder) {
            (_, Some(Responder::InBetween { html: true, .. })) => false,
            (401 | 403, _) => true,
            (
                400 | 402 | 415 | 422,
                Some(Responder::FrontDoor {
                    error_type, said, ..
                }),
            ) => is_authentication(error_type, said),
            _ => false,
        }
    }

    /// Whether IAM denies the role this action.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(&self.responder, Some(Responder::FrontDoor { error_type, said, .. })
            if error_type.starts_with("AccessDenied") || says(said, &["not authorized to perform"]))
    }

    /// Whether AMP has no such path. API Gateway answers like this to a path or method that it does not know, signed or not.
    #[must_use]
    pub fn is_unserved(&self) -> bool {
        matches!(&self.responder, Some(Responder::FrontDoor { said, .. })
            if self.status == StatusCode::FORBIDDEN && says(said, &["missing authentication token"]))
    }

    /// Classifies the response to a request for `path`; `workspace_arn` is the resource to name when the role is denied.
    #[must_use]
    pub fn class(self, workspace_arn: &str, path: &str) -> ReplyClass {
        if self.is_unserved() {
            // New credentials would not help.
            return ReplyClass::Final(Verdict::Unauthenticated {
                said: self.said(),
                unserved: Some(path.to_owned()),
            });
        }
        if self.is_unauthenticated() {
            return self.unauthenticated(workspace_arn);
        }
        match (self.status.as_u16(), &self.responder) {
            (413, responder) => {
                let is_amp = responder.as_ref().is_some_and(Responder::is_amp);
                let verdict = if is_amp || self.said_nothing() {
                    self.too_large_for_amp()
                } else {
                    self.unexpected()
                };
                ReplyClass::TooLarge(verdict, ShownLimit::default())
            }
            (_, Some(Responder::InBetween { html: true, .. })) => {
                ReplyClass::Final(self.unexpected())
            }
            (
                202,
                Some(Responder::Store {
                    text: Some(StoreText::OtherReplica),
                    ..
                }),
            ) => ReplyClass::Final(Verdict::Deduplicated {
                status: self.status,
                written: self.written,
            }),
            (200..=299, _) => ReplyClass::Final(self.stored()),
            (
                400 | 402 | 415 | 422,
                Some(Responder::FrontDoor {
                    error_type, said, ..
                }),
            ) if is_throttling(error_type, said) => ReplyClass::Final(self.throttled()),
            (
                400 | 429,
                Some(Responder::Store {
                    text: Some(text), ..
                }),
            ) => {
                let text = *text;
                self.of_store(text)
            }
            (
                500,
                Some(Responder::Store {
                    text: Some(StoreText::TooLarge(limit)),
                    ..
                }),
            ) => {
                let limit = *limit;
                ReplyClass::TooLarge(self.too_large_for_amp(), limit)
            }
            (400, Some(responder)) if responder.is_amp() => {
                ReplyClass::Final(self.refused(RefusalReason::Invalid))
            }
            (429, _) => ReplyClass::Final(self.throttled()),
            (404, Some(Responder::FrontDoor { .. })) => {
                ReplyClass::Final(Verdict::WorkspaceNotFound { said: self.said() })
            }
            (415, responder) => {
                let is_amp = responder.as_ref().is_some_and(Responder::is_amp);
                ReplyClass::NotAsV2(if is_amp {
                    self.refused_other()
                } else {
                    self.unexpected()
                })
            }
            (402 | 422, Some(responder)) if responder.is_amp() => {
                ReplyClass::Final(self.refused_other())
            }
            (500 | 502 | 503 | 504, _) => ReplyClass::Final(Verdict::AmpFailing {
                status: self.status,
                pause: self.pause,
                said: self.said(),
            }),
            _ => ReplyClass::Final(self.unexpected()),
        }
    }

    /// A 400 or 429 of the store with a known text.
    fn of_store(self, text: StoreText) -> ReplyClass {
        ReplyClass::Final(match text {
            StoreText::Refused(reason) => self.refused(reason),
            StoreText::SeriesLimit => Verdict::SeriesLimit {
                said: self.said(),
                written: self.written,
            },
            StoreText::Rate => self.throttled(),
            StoreText::TooLarge(limit) => {
                return ReplyClass::TooLarge(self.too_large_for_amp(), limit);
            }
            StoreText::NotAsV2 => {
                return ReplyClass::NotAsV2(self.refused(RefusalReason::Invalid));
            }
            StoreText::OldExemplars => {
                return ReplyClass::WithoutExemplars(Verdict::Stored {
                    status: StatusCode::OK,
                    written: self.written,
                });
            }
            StoreText::OtherReplica => self.refused(RefusalReason::Invalid),
        })
    }

    fn unauthenticated(self, workspace_arn: &str) -> ReplyClass {
        let denied = self.is_denied();
        let said = self.said();
        ReplyClass::Unauthenticated(if denied {
            let missing = policies::missing(&said, ACTION, workspace_arn);
            Verdict::AccessDenied { said, missing }
        } else {
            Verdict::Unauthenticated {
                said,
                unserved: None,
            }
        })
    }

    fn said_nothing(&self) -> bool {
        self.responder
            .as_ref()
            .is_none_or(|responder| responder.said().is_empty())
    }

    fn stored(self) -> Verdict {
        Verdict::Stored {
            status: self.status,
            written: self.written,
        }
    }

    fn refused(self, reason: RefusalReason) -> Verdict {
        Verdict::Refused {
            reason,
            said: self.said(),
            written: self.written,
        }
    }

    fn refused_other(self) -> Verdict {
        Verdict::RefusedOther {
            status: self.status,
            said: self.said(),
            written: self.written,
        }
    }

    fn throttled(self) -> Verdict {
        Verdict::Throttled {
            pause: self.pause,
            said: self.said(),
        }
    }

    fn too_large_for_amp(&self) -> Verdict {
        Verdict::TooLargeForAmp {
            said: self.said(),
            written: WrittenStats::default(),
        }
    }

    fn unexpected(&self) -> Verdict {
        Verdict::Unexpected {
            status: self.status,
            said: self.said(),
        }
    }
}

/// AWS' common error types, and the texts of errors without a type.
fn is_authentication(error_type: &str, said: &str) -> bool {
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
    TYPES.contains(&error_type) || says(said, WORDS)
}

fn is_throttling(error_type: &str, said: &str) -> bool {
    const TYPES: &[&str] = &[
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
    ];
    TYPES.contains(&error_type) || says(said, &["rate exceeded"])
}

/// Applied only to texts of the front door, which never quote a sender.
fn says(said: &str, words: &[&str]) -> bool {
    let said = said.to_ascii_lowercase();
    words.iter().any(|word| said.contains(word))
}

#[cfg(test)]
mod tests;
