//! Why an exchange gave no credentials.

use crate::credentials::cache::Failure;
use crate::credentials::entra::EntraError;
use crate::credentials::sts::{Pace, StsError};
use crate::credentials::token::TokenError;
use crate::net::client::CallError;
use crate::outcome::remedy::UNSIGNED;
use crate::remedies::{STS_FOREIGN, TOKEN_EMPTY, TOKEN_MALFORMED};
use crate::telemetry::incidents::Diagnosis;

/// Why an exchange gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// There was no token to exchange.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Entra gave no token for it.
    #[error(transparent)]
    Entra(#[from] EntraError),
    /// STS gave nothing for the token.
    #[error("{source}{remedy}")]
    WebIdentity {
        /// What STS said.
        source: StsError,
        /// What to do, in words that go on from there; may be empty.
        remedy: String,
    },
    /// STS gave nothing for the credentials of the role before.
    #[error("hop {number} of {of}, {role_arn}: {source}{remedy}")]
    Hop {
        /// Which hop, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// The role that was to be assumed.
        role_arn: String,
        /// What STS said.
        source: StsError,
        /// What to do, in words that go on from there; may be empty.
        remedy: String,
    },
}

impl Failure for ExchangeError {
    fn name(&self) -> &'static str {
        match self {
            Self::Token(error) => error.name(),
            Self::Entra(error) => error.name(),
            Self::WebIdentity { source, .. } => source.name(),
            Self::Hop { source, .. } => source.hop_name(),
        }
    }

    fn pace(&self) -> Pace {
        match self {
            // Kubelet writes the token when it can, and nothing tells when that is.
            Self::Token(_) => Pace::Soon,
            Self::Entra(error) => error.pace(),
            Self::WebIdentity { source, .. } | Self::Hop { source, .. } => source.pace(),
        }
    }

    fn diagnosis(&self) -> Diagnosis {
        let whole = self.to_string();
        let remedy = of_exchange(self);
        // Those who show the error alone need its mend in it; here it has a place of its own.
        let reason = match &remedy {
            Some(remedy) => whole.replacen(&format!("; {remedy}"), "", 1),
            None => whole,
        };
        Diagnosis {
            reason,
            remedy,
            credentials_left: None,
        }
    }
}

const UNREACHED: &str = "let this pod out to port 443 of the endpoint (DNS, network policy, firewall), or set --https-proxy";

/// About an exchange that gave no credentials, where its own error has no mend.
fn of_exchange(error: &ExchangeError) -> Option<String> {
    let remedy = match error {
        ExchangeError::Token(error) => match error {
            TokenError::Unreadable { remedy, .. } => return of_words(remedy),
            TokenError::Empty(_) => TOKEN_EMPTY.remedy,
            TokenError::TooLong(_) | TokenError::NotAToken(_) => TOKEN_MALFORMED.remedy,
            TokenError::Changing(_) => {
                "let whoever writes the file rename a whole one into its place, as kubelet does"
            }
        },
        ExchangeError::Entra(error) => match error {
            EntraError::Refused { .. } => return of_words(&error.remedy()),
            EntraError::Silent(error) => of_call(error),
            EntraError::Unusable { .. } if error.is_throttling() => {
                return of_words(&error.remedy());
            }
            EntraError::Unusable { .. } => {
                "check --azure-authority-host, and whether a proxy in between answers in its place"
            }
        },
        ExchangeError::WebIdentity { source, remedy }
        | ExchangeError::Hop { source, remedy, .. } => match source {
            StsError::Refused { .. } => {
                return of_words(remedy).or_else(|| of_sts_refusal(source));
            }
            StsError::Silent(error) => of_call(error),
            StsError::Unusable { .. } if source.is_throttling() => {
                return of_sts_refusal(source);
            }
            StsError::Unusable { .. } => STS_FOREIGN.remedy,
            StsError::Unsigned(_) => UNSIGNED,
        },
    };
    Some(remedy.to_owned())
}

fn of_sts_refusal(error: &StsError) -> Option<String> {
    match error.pace() {
        Pace::Soon => Some("it passes by itself: STS is asked again and again".to_owned()),
        Pace::Slowly => None,
    }
}

fn of_call(error: &CallError) -> &'static str {
    match error {
        CallError::Unreachable(_) => UNREACHED,
        CallError::Proxy(error) => error.mistake().remedy,
        CallError::TimedOut => {
            "it may pass by itself; where it lasts, let this pod out to the endpoint (network policy, firewall), or set --https-proxy"
        }
        CallError::TooLarge(_) => STS_FOREIGN.remedy,
    }
}

/// Of words that go on from an error's own.
fn of_words(words: &str) -> Option<String> {
    let words = words.trim_start_matches("; ");
    (!words.is_empty()).then(|| words.to_owned())
}
