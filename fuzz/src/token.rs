//! A token file, whatever is in it: a token comes of it only where it has a token's form, and nothing of it is ever shown.

use std::path::Path;
use std::time::SystemTime;

use amp_sidecar::credentials::profile;
use amp_sidecar::credentials::token::{self, TokenError};

use super::{is_fit_to_be_shown, withholds};

/// The input is the file.
pub fn holds(input: &[u8]) {
    keys(input);
    let path = Path::new("/token");
    let text = std::str::from_utf8(input).ok().map(str::trim);
    match token::held(path, input) {
        Ok(token) => {
            assert_eq!(Some(token.expose()), text);
            assert!(token.expose().len() <= 20_000);
            assert!(token.expose().bytes().all(|b| b.is_ascii_graphic()));
            assert_eq!(token.expose().matches('.').count(), 2);
            withholds(&format!("{token:?}"), token.expose());
            if let Some(claims) = token.claims() {
                let described = claims.describe(SystemTime::now());
                assert!(
                    !described.contains(|c: char| c.is_control()),
                    "{described:?}"
                );
                assert!(
                    described.len() < 16 * 1024,
                    "{} bytes are shown",
                    described.len()
                );
                // The claims are no secret, the signature is.
                let signature = token.expose().rsplit('.').next().unwrap();
                if signature.len() >= 16 {
                    assert!(!described.contains(signature));
                }
            }
        }
        Err(error) => {
            let shown = error.to_string();
            is_fit_to_be_shown(&shown);
            if let Some(text) = text.filter(|text| text.len() >= 100) {
                assert!(!shown.contains(text));
            }
            match error {
                TokenError::Empty(_) => assert_eq!(text, Some("")),
                TokenError::TooLong(_) => assert!(input.len() > 20_000),
                TokenError::NotAToken(_) => assert_ne!(text, Some("")),
                TokenError::Unreadable { .. } | TokenError::Changing(_) => panic!("{shown}"),
            }
        }
    }
}

/// The same bytes as a credentials file: keys come of it only where they stand in it and can be sent.
fn keys(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match profile::keys_in(text, Path::new("/credentials"), "default") {
        Ok(keys) => {
            let credentials = keys.credentials("fuzz");
            let secret = credentials.secret_access_key();
            for key in [
                Some(credentials.access_key_id()),
                Some(secret),
                credentials.session_token(),
            ] {
                let key = key.unwrap_or("-");
                assert!(!key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic()));
                assert!(key == "-" || text.contains(key));
            }
            assert!(text.contains("[default]") || text.contains("[DEFAULT]"));
            if secret.len() > 40 {
                assert!(!format!("{keys:?}").contains(secret));
            }
        }
        Err(error) => {
            is_fit_to_be_shown(&error.to_string());
            assert!(error.name().starts_with("credentials_file_"));
        }
    }
}
