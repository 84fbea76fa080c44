//! AWS keys that were given as text: by a response, a file, or the environment.
//!
//! In: the texts, each with the name that its giver has for it. Out: [`AwsKeys`], which can be sent and are never shown, or the [`KeyFault`]
//! that names the text which cannot be one, without its value.

use std::fmt;

use aws_credential_types::Credentials;
use zeroize::Zeroizing;

/// Keys that sign requests, and their session token if they are temporary.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKeys {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

/// The texts, each after its name.
#[derive(Clone, Copy)]
pub(crate) struct KeyTexts<'a> {
    pub(crate) access_key_id: (&'static str, &'a str),
    pub(crate) secret_access_key: (&'static str, &'a str),
    pub(crate) session_token: (&'static str, Option<&'a str>),
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is none.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A shell would remove them; here they would be part of the key.
    #[error("{0} contains quotes: write it without quotes")]
    Quotes(&'static str),
    /// No header could carry it.
    #[error("{0} contains white space, a line break or another character that no key has")]
    Characters(&'static str),
    /// It is sent and shown as what it is taken for, so a secret in its place would be.
    #[error(
        "{0} has characters other than A-Z and 0-9, which no access key ID has: are ID and secret swapped?"
    )]
    NotAnId(&'static str),
    /// Keys of STS are valid only with their token.
    #[error("{0} is missing: an access key ID that begins with ASIA is temporary and needs it")]
    NoToken(&'static str),
}

// === impl AwsKeys ===

impl AwsKeys {
    /// # Errors
    /// [`KeyFault`] if a text cannot be a key.
    pub(crate) fn checked(texts: KeyTexts<'_>) -> Result<Self, KeyFault> {
        let KeyTexts {
            access_key_id,
            secret_access_key,
            session_token: (token_name, token),
        } = texts;
        let given = [access_key_id, secret_access_key].into_iter();
        for (name, text) in given.chain(token.map(|token| (token_name, token))) {
            if text.is_empty() {
                return Err(KeyFault::Empty(name));
            }
            if text.contains(['"', '\'']) {
                return Err(KeyFault::Quotes(name));
            }
            if !text.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(KeyFault::Characters(name));
            }
        }
        let of_an_id = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        if !access_key_id.1.bytes().all(of_an_id) {
            return Err(KeyFault::NotAnId(access_key_id.0));
        }
        if token.is_none() && access_key_id.1.starts_with("ASIA") {
            return Err(KeyFault::NoToken(token_name));
        }
        Ok(Self {
            access_key_id: access_key_id.1.to_owned(),
            secret_access_key: Zeroizing::new(secret_access_key.1.to_owned()),
            session_token: token.map(|token| Zeroizing::new(token.to_owned())),
        })
    }

    /// What requests are signed with; `provider` is where they come from.
    #[must_use]
    pub fn credentials(&self, provider: &'static str) -> Credentials {
        Credentials::new(
            &self.access_key_id,
            self.secret_access_key.as_str(),
            self.session_token.as_deref().cloned(),
            None,
            provider,
        )
    }

    /// The part that is not secret.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKeys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(id: &str, secret: &str, token: Option<&str>) -> Result<AwsKeys, KeyFault> {
        AwsKeys::checked(KeyTexts {
            access_key_id: ("id", id),
            secret_access_key: ("secret", secret),
            session_token: ("token", token),
        })
    }

    #[test]
    fn a_text_that_cannot_be_a_key_is_named() {
        assert!(checked("AKIAEXAMPLE", "s/+=", None).is_ok());
        assert!(checked("ASIAEXAMPLE", "s", Some("t")).is_ok());
        for (id, secret, token, fault) in [
            ("", "s", None, KeyFault::Empty("id")),
            ("AKIA", "", None, KeyFault::Empty("secret")),
            ("AKIA", "s", Some(""), KeyFault::Empty("token")),
            ("AKIA", "a b", None, KeyFault::Characters("secret")),
            ("AKIA", "s", Some("a\nb"), KeyFault::Characters("token")),
            ("AKIÄ", "s", None, KeyFault::Characters("id")),
            ("s/+=", "AKIAEXAMPLE", None, KeyFault::NotAnId("id")),
            ("akia", "s", Some("t"), KeyFault::NotAnId("id")),
            ("\"AKIA\"", "s", None, KeyFault::Quotes("id")),
            ("AKIA", "'s'", None, KeyFault::Quotes("secret")),
            ("AKIA", "s", Some("t\""), KeyFault::Quotes("token")),
            ("ASIAEXAMPLE", "s", None, KeyFault::NoToken("token")),
        ] {
            assert_eq!(checked(id, secret, token), Err(fault));
        }
    }

    #[test]
    fn only_the_id_is_shown() {
        let keys = checked("ASIAEXAMPLE", "planted", Some("planted")).unwrap();
        let shown = format!("{keys:?}");
        assert!(
            shown.contains("ASIAEXAMPLE") && !shown.contains("planted"),
            "{shown}"
        );
    }
}
