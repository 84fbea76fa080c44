//! Removes secrets that we sent from what a peer returns.
//!
//! STS quotes a malformed token, and explains a wrong signature with the session token in the explanation; another server in its
//! place may return anything. In: a peer's message, and the secrets that it was sent. Out: the message without any piece of a
//! secret that is long enough to matter, safe to display. It searches for pieces and not for whole secrets, because the peer may cut,
//! encode or wrap them.

use std::collections::HashSet;

use crate::sanitize::sanitize;

/// A shorter piece does not help to guess the whole.
const SHORTEST: usize = 12;
/// Longer than a GUID and than any word of a message.
const LONGEST_NAME: usize = 40;

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
    let of_a_token = |c: char| c.is_ascii_alphanumeric() || "-_.=+".contains(c);
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rest.find(|c| !of_a_token(c)).unwrap_or(rest.len()));
        kept.push_str(if run.len() > LONGEST_NAME {
            "[withheld]"
        } else {
            run
        });
        let (between, after) = after.split_at(after.find(of_a_token).unwrap_or(after.len()));
        kept.push_str(between);
        rest = after;
    }
    sanitize(&kept)
}

#[cfg(test)]
mod tests {
    use super::{sanitize_without, sanitize_without_tokens};

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
    fn other_words_stay() {
        let said = "Not authorized to perform sts:AssumeRole on arn:aws:iam::111122223333:role/ämp";
        assert_eq!(
            sanitize_without(said, &["a-secret-of-some-length", "short"]),
            said
        );
    }
}
