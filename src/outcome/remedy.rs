//! Maps each verdict to its row of the remedies.
//!
//! In: a [`Verdict`] or a [`TransportError`]. Out: what to do about it. The matches have no wildcard arm: a new verdict does
//! not compile without a remedy.
#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants
)]

use crate::net::error::TransportError;
use crate::outcome::verdict::{NotConfigured, RefusalReason, Verdict};
use crate::remedies::first_hour::{
    AMP_CREDENTIALS, AMP_PATH, ANSWER_SWALLOWED, PROMETHEUS_PATH, REGION_WRONG, WORKSPACE_UNKNOWN,
};
use crate::remedies::policies::Denial;
use crate::remedies::running::{
    ACCESS_DENIED, AMBIGUOUS_HEAD, AMBIGUOUS_PATH, AMP_FAILING, CLIENT_TOKEN, CROSS_ORIGIN,
    MALFORMED, METHOD, NO_CREDENTIALS, OVERLOADED, POISON, PROXY_NO_PASSWORD, REFUSED_EXEMPLAR,
    REFUSED_HA, REFUSED_HISTOGRAM, REFUSED_LABELS, REFUSED_METADATA, REFUSED_NEW, REFUSED_OLD,
    REFUSED_ORDER, REFUSED_OTHER, REFUSED_SERIES, SENDER_GONE, SERIES_LIMIT, SLOW_SENDER,
    THROTTLED, TOO_LARGE, TOO_LARGE_FOR_AMP, UNEXPECTED, UNSIGNED, WORKSPACE_NOT_CONFIGURED,
};
use crate::remedies::{Advice, Remedy};

/// What to do about a batch that was not stored; `None` if nothing is needed.
#[must_use]
pub fn of_verdict(verdict: &Verdict) -> Option<Advice> {
    let row = match verdict {
        Verdict::Stored { .. } | Verdict::Deduplicated { .. } | Verdict::ProtocolProbe => {
            return None;
        }
        Verdict::Unfinished { why, .. } => return of_verdict(why),
        Verdict::Misdirected { right, .. } => {
            let here = format!("set the url of the sender's remote_write to {right}");
            return Some(Advice::from(PROMETHEUS_PATH).here(here));
        }
        Verdict::WorkspaceNotConfigured(NotConfigured::Off(Some(id))) => {
            let here = format!(
                "set AMP_SIDECAR_WORKSPACE_ID={id} in the sidecar's environment, or --any-workspace to serve each workspace that senders name"
            );
            return Some(Advice::from(WORKSPACE_NOT_CONFIGURED).here(here));
        }
        Verdict::WorkspaceNotConfigured(_) => WORKSPACE_NOT_CONFIGURED,
        // What to do about the exchange is what to do about the batch.
        Verdict::NoCredentials { remedy, .. } => {
            let here = remedy.clone().unwrap_or_default();
            return Some(Advice::from(NO_CREDENTIALS).here(here));
        }
        Verdict::Unauthenticated { said, unserved } => of_rejection(said, unserved.is_some()),
        Verdict::AccessDenied { said, .. } => of_denial(said),
        Verdict::WorkspaceNotFound { .. } => WORKSPACE_UNKNOWN,
        Verdict::Throttled { .. } => THROTTLED,
        Verdict::AmpFailing { .. } => AMP_FAILING,
        // Something in between that was not asked for a tunnel.
        Verdict::Unexpected { status, .. } if status.as_u16() == 407 => PROXY_NO_PASSWORD,
        Verdict::Unexpected { .. } => UNEXPECTED,
        Verdict::Unreachable(error) => return Some(of_transport(error)),
        Verdict::Unsigned { .. } => UNSIGNED,
        Verdict::Overloaded => OVERLOADED,
        Verdict::SeriesLimit { .. } => SERIES_LIMIT,
        Verdict::Refused { reason, .. } => of_refusal(*reason),
        Verdict::Poison { .. } => POISON,
        Verdict::RefusedOther { .. } => REFUSED_OTHER,
        Verdict::TooLargeForAmp { .. } => TOO_LARGE_FOR_AMP,
        Verdict::Malformed(_) | Verdict::UnsupportedMedia { .. } => MALFORMED,
        Verdict::TooLarge { .. } => TOO_LARGE,
        Verdict::ClientUnauthenticated => CLIENT_TOKEN,
        Verdict::AmbiguousPath { .. } => AMBIGUOUS_PATH,
        Verdict::NoSuchPath => PROMETHEUS_PATH,
        Verdict::MethodNotAllowed => METHOD,
        Verdict::CrossOrigin(_) => CROSS_ORIGIN,
        Verdict::AmbiguousHead(_) => AMBIGUOUS_HEAD,
        Verdict::SlowSender => SLOW_SENDER,
        Verdict::SenderGone => SENDER_GONE,
    };
    Some(row.into())
}

/// What to do if AMP rejects the session or the signature; `unserved` if it has no such path.
#[must_use]
pub(crate) fn of_rejection(said: &str, unserved: bool) -> Remedy {
    if unserved {
        AMP_PATH
    } else if said.contains("scoped") {
        REGION_WRONG
    } else {
        AMP_CREDENTIALS
    }
}

/// What to do if IAM denies the role.
fn of_denial(said: &str) -> Remedy {
    Denial::of(said).map_or(ACCESS_DENIED, |denial| denial.row)
}

fn of_refusal(reason: RefusalReason) -> Remedy {
    match reason {
        RefusalReason::OutOfOrder | RefusalReason::Duplicate => REFUSED_ORDER,
        RefusalReason::TooOld | RefusalReason::OutOfBounds => REFUSED_OLD,
        RefusalReason::TooNew => REFUSED_NEW,
        RefusalReason::TooManyLabels
        | RefusalReason::LabelsSize
        | RefusalReason::LabelNameTooLong
        | RefusalReason::LabelValueTooLong => REFUSED_LABELS,
        RefusalReason::Exemplar => REFUSED_EXEMPLAR,
        RefusalReason::Metadata => REFUSED_METADATA,
        RefusalReason::NativeHistogram => REFUSED_HISTOGRAM,
        RefusalReason::HaGroups => REFUSED_HA,
        RefusalReason::MissingName
        | RefusalReason::InvalidName
        | RefusalReason::InvalidLabel
        | RefusalReason::DuplicateLabel
        | RefusalReason::Invalid => REFUSED_SERIES,
    }
}

/// What to do about a request that got no response from AMP.
#[must_use]
pub fn of_transport(error: &TransportError) -> Advice {
    match error {
        TransportError::Connect(error) => error.remedy().into(),
        TransportError::Broken(_) => AMP_FAILING.into(),
        TransportError::TimedOut => ANSWER_SWALLOWED.into(),
        TransportError::Garbage(_) | TransportError::Endless => UNEXPECTED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_does_not_come_has_one_remedy() {
        let text = of_transport(&TransportError::TimedOut).to_string();
        assert_eq!(text, ANSWER_SWALLOWED.remedy);
        assert!(!text.contains("none needed"), "{text}");
    }

    #[test]
    fn a_proxy_that_was_not_asked_for_a_tunnel_asks_for_its_password() {
        let verdict = |status| Verdict::Unexpected {
            status,
            said: String::new(),
        };
        let asked = verdict(hyper::StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        assert_eq!(of_verdict(&asked), Some(PROXY_NO_PASSWORD.into()));
        let other = verdict(hyper::StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(of_verdict(&other), Some(UNEXPECTED.into()));
    }
}
