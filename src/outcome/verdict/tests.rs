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
        Verdict::NoCredentials { why: said() },
        Verdict::Unauthenticated { said: said() },
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

/// A page has no links into the docs.
fn without_links(row: &str) -> String {
    let Some((before, rest)) = row.split_once('[') else {
        return row.to_owned();
    };
    let (text, rest) = rest.split_once("](").unwrap();
    let (_, after) = rest.split_once(')').unwrap();
    format!("{before}{text}{}", without_links(after))
}

#[test]
fn the_table_in_the_docs_is_the_code() {
    let page = include_str!("../../../docs/outcomes.md");
    let table = page
        .split_once("<!-- outcomes: checked against the code by a test -->\n")
        .unwrap()
        .1;
    let table = table.split_once("<!-- end of outcomes -->").unwrap().0;
    let rows: Vec<&str> = table.lines().skip(2).collect();
    let verdicts = one_of_each();
    assert_eq!(rows.len(), verdicts.len());
    for (row, meaning) in rows.iter().zip(OUTCOME_DOCS) {
        let (happened, response) = (meaning.happened, meaning.response);
        let told = format!("| `{}` | {happened} | {response} |", meaning.outcome);
        assert_eq!(without_links(row), told);
    }
    for (row, verdict) in rows.iter().zip(&verdicts) {
        assert!(
            row.starts_with(&format!("| `{}` |", verdict.name())),
            "{row} is not {}",
            verdict.name()
        );
        let heard = row.rsplit('|').nth(1).unwrap().trim();
        let told = match verdict.answer() {
            SenderResponse::Close => heard == "closed",
            SenderResponse::Respond(response) => {
                match heard.get(..3).and_then(|number| number.parse::<u16>().ok()) {
                    Some(number) => number == response.status().as_u16(),
                    None => heard.starts_with("AMP's") || heard.starts_with("the same"),
                }
            }
        };
        assert!(told, "{row} is not {verdict:?}");
    }
}

#[test]
fn every_name_is_known_before_it_is_needed() {
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
        // A request for another path is no batch of ours, no sender's is ambiguous, and a probe is sent again in another form.
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
fn an_unfinished_batch_is_answered_as_the_part_that_comes_again() {
    for why in one_of_each() {
        if why.is_stored() || why.lost().is_some() {
            continue;
        }
        let heard = |verdict: &Verdict| match verdict.answer() {
            SenderResponse::Close => None,
            SenderResponse::Respond(response) => Some(response.status()),
        };
        let (name, alone, words) = (why.name(), heard(&why), why.to_string());
        let verdict = Verdict::Unfinished {
            settled: 3,
            parts: 12,
            why: Box::new(why),
        };
        assert_eq!((verdict.name(), heard(&verdict)), (name, alone));
        assert_eq!(verdict.lost(), None);
        let told = verdict.to_string();
        assert!(
            told.starts_with("3 of 12 parts") && told.ends_with(&words),
            "{told}"
        );
    }
}

#[test]
fn what_a_page_says_of_an_outcome_is_what_becomes_of_it() {
    for (verdict, meaning) in one_of_each().iter().zip(OUTCOME_DOCS) {
        assert_eq!(verdict.name(), meaning.outcome);
        let lost = meaning.fate == Fate::Lost;
        assert_eq!(verdict.lost().is_some(), lost, "{verdict:?}");
        let stored = verdict.is_stored();
        assert_eq!(meaning.fate == Fate::Stored, stored, "{verdict:?}");
    }
    assert_eq!(REASONS.map(|(reason, _)| reason), LOSSES);
}

#[test]
fn a_pause_is_short_and_only_asked_for_where_amp_did() {
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
            let heard: u64 = response.headers()[RETRY_AFTER]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(heard, seconds.clamp(1, 5));
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
