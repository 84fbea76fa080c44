//! Removes secrets that we sent from what a peer returns.
//!
//! STS quotes a malformed token, and explains a wrong signature with the session token in the explanation; another server in its
//! place may return anything. In: a peer's message, and the secrets that it was sent. Out: the message without any piece of a
//! secret that is long enough to matter, safe to display. It searches for pieces and not for whole secrets, because the peer may cut,
//! encode or wrap them.

use std::collections::HashSet;

use crate::sanitize::{sanitize, sanitize_within};

/// A shorter piece does not help to guess the whole.
const SHORTEST: usize = 12;
/// Longer than a GUID and than any word of a message.
const LONGEST_NAME: usize = 40;
/// The length of a secret access key.
const SECRET_KEY: usize = 40;
/// Longer than any message of an agent that gives keys.
const LONGEST_OF_KEYS: usize = 240;
/// How the names of keys and tokens end, in lower case and without `_`.
const KEY_NAMES: [&str; 6] = [
    "accesskeyid",
    "secretaccesskey",
    "secretkey",
    "token",
    "authorization",
    "password",
];

/// The message, redacted.
pub(super) fn sanitize_without(words: &str, secrets: &[&str]) -> String {
    let pieces: HashSet<&[u8]> = secrets
        .iter()
        .flat_map(|secret| secret.as_bytes().windows(SHORTEST))
        .collect();
    let mut kept = String::with_capacity(words.len());
    let mut secret_until = 0;
    for (at, c) in words.char_indices() {
        let begins = words
            .as_bytes()
            .get(at..at + SHORTEST)
            .is_some_and(|piece| pieces.contains(piece));
        if begins {
            if secret_until <= at {
                kept.push_str("[withheld]");
            }
            secret_until = at + SHORTEST;
        }
        if secret_until <= at {
            kept.push(c);
        }
    }
    sanitize(&kept)
}

/// The message of a peer that was sent no secret but has some, without whatever is long enough to be one.
pub(super) fn sanitize_without_tokens(words: &str) -> String {
    sanitize(&without_runs(words, "-_.=+", LONGEST_NAME))
}

/// The message of a peer that was sent one secret, of any length, and has AWS keys: without both.
pub(super) fn sanitize_without_keys(words: &str, sent: &str) -> String {
    // After the scheme, as in `Basic dXNlcg==`.
    let last = sent.split_whitespace().next_back().unwrap_or_default();
    let mut kept = words.to_owned();
    for secret in [sent.trim(), last] {
        if !secret.is_empty() {
            kept = kept.replace(secret, "[withheld]");
        }
    }
    let kept = sanitize_without(&without_values(&kept), &[sent]);
    let kept = without_runs(&kept, "-_.=+", LONGEST_NAME);
    sanitize_within(&without_runs(&kept, "+/=", SECRET_KEY - 1), LONGEST_OF_KEYS)
}

/// Leaves out what follows the name of a key: `"Token": "…"`, `<Token>…`, `token=…`.
fn without_values(words: &str) -> String {
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let around = |c: char| c.is_whitespace() || "\\\"'".contains(c);
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    while !rest.is_empty() {
        let (name, after) = rest.split_at(rest.find(|c| !of_a_name(c)).unwrap_or(rest.len()));
        kept.push_str(name);
        let plain = name.replace('_', "").to_ascii_lowercase();
        let is_key = KEY_NAMES.iter().any(|key| plain.ends_with(key));
        let value = after
            .trim_start_matches(around)
            .strip_prefix([':', '=', '>'])
            .map(|value| value.trim_start_matches(around))
            .filter(|_| is_key);
        let after = value.map_or(after, |value| {
            let (between, _) = after.split_at(after.len() - value.len());
            kept.push_str(between);
            let ends = |c: char| c.is_whitespace() || "\"',;<>}&".contains(c);
            let (secret, after) = value.split_at(value.find(ends).unwrap_or(value.len()));
            kept.push_str(if secret.is_empty() { "" } else { "[withheld]" });
            after
        });
        let (between, after) = after.split_at(after.find(of_a_name).unwrap_or(after.len()));
        kept.push_str(between);
        rest = after;
    }
    kept
}

/// Leaves out each run of letters, digits and `others` that is longer than `longest`.
fn without_runs(words: &str, others: &str, longest: usize) -> String {
    let of_a_token = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rest.find(|c| !of_a_token(c)).unwrap_or(rest.len()));
        kept.push_str(if run.len() > longest {
            "[withheld]"
        } else {
            run
        });
        let (between, after) = after.split_at(after.find(of_a_token).unwrap_or(after.len()));
        kept.push_str(between);
        rest = after;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{sanitize_without, sanitize_without_keys, sanitize_without_tokens};

    #[test]
    fn what_may_be_a_token_is_left_out_and_names_stay() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwcyJ9.c2lnbmF0dXJl";
        let said = format!("not '{token}': 5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a, api://é.x\n");
        assert_eq!(
            sanitize_without_tokens(&said),
            "not '[withheld]': 5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a, api://é.x"
        );
    }

    #[test]
    fn no_long_piece_of_a_secret_is_left() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwcyJ9.c2lnbmF0dXJl+/w==";
        let said = format!(
            "Value '{token}' at 'webIdentityToken' failed; also é{}, {}\n and x={}.",
            &token[5..30],
            &token[40..],
            token.replace('+', "%2B")
        );
        assert_eq!(
            sanitize_without(&said, &["", token]),
            "Value '[withheld]' at 'webIdentityToken' failed; also é[withheld], [withheld]  and x=[withheld]%2B/w==."
        );
    }

    #[test]
    fn neither_keys_nor_what_was_sent_are_left_whatever_their_length() {
        for said in [
            r#"{"AccessKeyId":"planted","SecretAccessKey" : "planted/+","Token":"planted"}"#,
            r#"{\"SecretAccessKey\": \"planted\", \"SessionToken\":\"planted\"}"#,
            "aws_secret_access_key = planted\nAWS_SESSION_TOKEN=planted&x=1",
            "<SecretAccessKey>planted</SecretAccessKey>",
            "planted/+0123456789/ABCDEFGHIJ/abcdefghij",
            "planted short12345 and Basic short12345",
        ] {
            let said = said.replace("planted short", "short");
            let shown = sanitize_without_keys(&said, "Basic short12345");
            let secret = ["planted", "short12345"].iter().any(|s| shown.contains(s));
            assert!(!secret && shown.contains("[withheld]"), "{shown}");
        }
        assert_eq!(sanitize_without_keys("no x, no", "x"), "no [withheld], no");
        let said = "[042d8e16-eb43-43e3-a069-08c51a744ef6]: (AccessDeniedException): token is expired, fault: client";
        assert_eq!(sanitize_without_keys(said, ""), said);
        assert!(sanitize_without_keys(&"long ".repeat(200), "").len() < 250);
    }

    #[test]
    fn other_words_stay() {
        let said = "Not authorized to perform sts:AssumeRole on arn:aws:iam::111122223333:role/ämp";
        assert_eq!(
            sanitize_without(said, &["a-secret-of-some-length", "short"]),
            said
        );
    }
}
