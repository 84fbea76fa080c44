use super::*;
use crate::outcome::docs::{Fate, OUTCOME_DOCS, REASONS};
use hyper::header::RETRY_AFTER;

use crate::outcome::response::SenderResponse;

/// One of each variant: the table of `docs/outcomes.md` is checked against this, row by row.
fn one_of_each() -> Vec<Verdict> {
    let said = || "words".to_owned();
    let status = StatusCode::IM_A_TEAPOT;
    vec![
        Verdict::Stored {
            status: StatusCode::NO_CONTENT,
            written: WrittenStats::default(),
        },
        Verdict::Deduplicated {
            status: StatusCode::ACCEPTED,
            written: WrittenStats::default(),
        },
        Verdict::NoCredentials {
            why: said(),
            remedy: None,
        },
        Verdict::Unauthenticated {
            said: said(),
            unserved: None,
        },
        Verdict::AccessDenied {
            said: said(),
            missing: said(),
        },
        Verdict::WorkspaceNotFound { said: said() },
        Verdict::Throttled {
            pause: None,
            said: said(),
        },
        Verdict::AmpFailing {
            status: StatusCode::BAD_GATEWAY,
            pause: None,
            said: said(),
        },
        Verdict::Unexpected {
            status,
            said: said(),
        },
        Verdict::Unreachable(TransportError::TimedOut),
        Verdict::Overloaded,
        Verdict::Unsigned { why: said() },
        Verdict::Refused {
            reason: RefusalReason::TooOld,
            said: said(),
            written: WrittenStats::default(),
        },
        Verdict::SeriesLimit {
            said: said(),
            written: WrittenStats::default(),
        },
        Verdict::RefusedOther {
            status,
            said: said(),
            written: WrittenStats::default(),
        },
        Verdict::TooLargeForAmp {
            said: said(),
            written: WrittenStats::default(),
        },
        Verdict::Poison {
            what: said(),
            said: said(),
            written: WrittenStats::default(),
        },
        Verdict::Malformed(Malformed::Empty),
        Verdict::TooLarge { limit: 1 },
        Verdict::UnsupportedMedia { what: said() },
        Verdict::ClientUnauthenticated,
        Verdict::CrossOrigin(CrossOrigin::Name { name: said() }),
        Verdict::AmbiguousPath {
            names: vec!["a".to_owned(), "b".to_owned()],
        },
        Verdict::WorkspaceNotConfigured(NotConfigured::Off(None)),
        Verdict::Misdirected {
            asked: said(),
            right: said(),
        },
        Verdict::ProtocolProbe,
        Verdict::NoSuchPath,
        Verdict::MethodNotAllowed,
        Verdict::AmbiguousHead(AmbiguousHead::Host(said())),
        Verdict::SlowSender,
        Verdict::SenderGone,
    ]
}

/// The table in the code has no links into the docs.
fn without_links(row: &str) -> String {
    let Some((before, rest)) = row.split_once('[') else {
        return row.to_owned();
    };
    let (text, rest) = rest.split_once("](").unwrap();
    let (_, after) = rest.split_once(')').unwrap();
    format!("{before}{text}{}", without_links(after))
}

#[test]
fn the_table_in_the_docs_matches_the_code() {
    let page = include_str!("../../../docs/outcomes.md");
    let table = page
        .split_once("<!-- outcomes: checked against the code by a test -->\n")
        .unwrap()
        .1;
    let table = table.split_once("<!-- end of outcomes -->").unwrap().0;
    let rows: Vec<&str> = table.lines().skip(2).collect();
    let verdicts = one_of_each();
    assert_eq!(rows.len(), verdicts.len());
    for (row, doc) in rows.iter().zip(OUTCOME_DOCS) {
        let (happened, response) = (doc.happened, doc.response);
        let expected = format!("| `{}` | {happened} | {response} |", doc.outcome);
        assert_eq!(without_links(row), expected);
    }
    for (row, verdict) in rows.iter().zip(&verdicts) {
        assert!(
            row.starts_with(&format!("| `{}` |", verdict.name())),
            "{row} is not {}",
            verdict.name()
        );
        let response_cell = row.rsplit('|').nth(1).unwrap().trim();
        let matches = match verdict.answer() {
            SenderResponse::Close => response_cell == "closed",
            SenderResponse::Respond(response) => {
                match response_cell
                    .get(..3)
                    .and_then(|number| number.parse::<u16>().ok())
                {
                    Some(number) => number == response.status().as_u16(),
                    None => {
                        response_cell.starts_with("AMP's") || response_cell.starts_with("the same")
                    }
                }
            }
        };
        assert!(matches, "{row} is not {verdict:?}");
    }
}

#[test]
fn every_outcome_and_reason_is_listed() {
    let names: Vec<_> = one_of_each().iter().map(Verdict::name).collect();
    assert_eq!(names, OUTCOMES);
    let refused = [
        RefusalReason::OutOfOrder,
        RefusalReason::TooOld,
        RefusalReason::TooNew,
        RefusalReason::OutOfBounds,
        RefusalReason::Duplicate,
        RefusalReason::TooManyLabels,
        RefusalReason::LabelsSize,
        RefusalReason::LabelNameTooLong,
        RefusalReason::LabelValueTooLong,
        RefusalReason::MissingName,
        RefusalReason::InvalidName,
        RefusalReason::InvalidLabel,
        RefusalReason::DuplicateLabel,
        RefusalReason::Exemplar,
        RefusalReason::Metadata,
        RefusalReason::NativeHistogram,
        RefusalReason::HaGroups,
        RefusalReason::Invalid,
    ];
    let refused = refused.map(RefusalReason::name).into_iter();
    let others = one_of_each();
    let others = others
        .iter()
        .filter(|verdict| !matches!(verdict, Verdict::Refused { .. }))
        .filter_map(Verdict::lost);
    assert_eq!(refused.chain(others).collect::<Vec<_>>(), LOSSES);
}

#[test]
fn a_batch_is_lost_exactly_where_the_sender_drops_it() {
    for verdict in one_of_each() {
        let dropped = match verdict.answer() {
            SenderResponse::Close => false,
            SenderResponse::Respond(response) => response.status().is_client_error(),
        };
        // A request for another path is not a batch, no sender's request is ambiguous, and a probe is sent again in another
        // form.
        let ours = !matches!(
            verdict,
            Verdict::NoSuchPath
                | Verdict::MethodNotAllowed
                | Verdict::AmbiguousHead(_)
                | Verdict::ProtocolProbe
        );
        assert_eq!(verdict.lost().is_some(), dropped && ours, "{verdict:?}");
    }
}

#[test]
fn an_unfinished_batch_gets_the_response_of_the_part_to_retry() {
    for why in one_of_each() {
        if why.is_stored() || why.lost().is_some() {
            continue;
        }
        let response_to = |verdict: &Verdict| match verdict.answer() {
            SenderResponse::Close => None,
            SenderResponse::Respond(response) => Some(response.status()),
        };
        let (name, alone, words) = (why.name(), response_to(&why), why.to_string());
        let verdict = Verdict::Unfinished {
            settled: 3,
            parts: 12,
            why: Box::new(why),
        };
        assert_eq!((verdict.name(), response_to(&verdict)), (name, alone));
        assert_eq!(verdict.lost(), None);
        let text = verdict.to_string();
        assert!(
            text.starts_with("3 of 12 parts") && text.ends_with(&words),
            "{text}"
        );
    }
}

#[test]
fn the_documented_fate_matches_the_verdict() {
    for (verdict, doc) in one_of_each().iter().zip(OUTCOME_DOCS) {
        assert_eq!(verdict.name(), doc.outcome);
        let lost = doc.fate == Fate::Lost;
        assert_eq!(verdict.lost().is_some(), lost, "{verdict:?}");
        let stored = verdict.is_stored();
        assert_eq!(doc.fate == Fate::Stored, stored, "{verdict:?}");
    }
    assert_eq!(REASONS.map(|(reason, _)| reason), LOSSES);
}

#[test]
fn a_retry_after_is_short_and_sent_only_if_amp_sent_one() {
    for seconds in [0, 1, 3, 5, 90, u64::MAX] {
        let pause = Some(Duration::from_secs(seconds));
        for verdict in [
            Verdict::Throttled {
                pause,
                said: String::new(),
            },
            Verdict::AmpFailing {
                status: StatusCode::SERVICE_UNAVAILABLE,
                pause,
                said: String::new(),
            },
        ] {
            let SenderResponse::Respond(response) = verdict.answer() else {
                panic!("closed")
            };
            let sent: u64 = response.headers()[RETRY_AFTER]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(sent, seconds.clamp(1, 5));
        }
    }
    for verdict in one_of_each()
        .iter()
        .filter(|verdict| verdict.name() != "throttled")
    {
        if let SenderResponse::Respond(response) = verdict.answer() {
            assert!(!response.headers().contains_key(RETRY_AFTER), "{verdict:?}");
        }
    }
}
