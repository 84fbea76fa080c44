//! The values of an identity, within the limits of the STS API reference and of Entra ID.

use std::path::PathBuf;

use super::{Expected, expected, role_arn};

/// A role to assume, and what its owner wants to hear.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Hop {
    pub(in crate::config) role_arn: String,
    pub(in crate::config) external_id: Option<String>,
}

pub(in crate::config) fn token_path(text: &str) -> Result<PathBuf, Expected> {
    if text.trim_start_matches(['"', '\'']).starts_with("eyJ") {
        expected("a path, not the token itself")
    } else {
        Ok(PathBuf::from(text))
    }
}

/// `ARN` or `ARN,external-id=ID`; an external id may hold commas, so nothing follows it.
pub(in crate::config) fn hop(text: &str) -> Result<Hop, Expected> {
    let Some((arn, option)) = text.split_once(',') else {
        return Ok(Hop {
            role_arn: role_arn(text)?,
            external_id: None,
        });
    };
    let role_arn = role_arn(arn)?;
    let what =
        "ARN,external-id=ID with an id of 2 to 1224 letters, digits and _+=,.@:/- after the role";
    let id = option.strip_prefix("external-id=").unwrap_or_default();
    if (2..=1224).contains(&id.len()) && made_of(id, "_+=,.@:/-") {
        Ok(Hop {
            role_arn,
            external_id: Some(id.to_owned()),
        })
    } else {
        expected(what)
    }
}

/// As Entra gives them: a GUID.
pub(in crate::config) fn client_id(text: &str) -> Result<String, Expected> {
    if is_guid(text) {
        Ok(text.to_owned())
    } else {
        expected("a client id, as 00000000-0000-0000-0000-000000000000")
    }
}

/// A GUID or a domain; the words that stand for any tenant give no token to an application.
pub(in crate::config) fn tenant_id(text: &str) -> Result<String, Expected> {
    let domain = text.contains('.')
        && (4..=253).contains(&text.len())
        && made_of(text, ".-")
        && !text.starts_with('.')
        && !text.contains("..");
    if is_guid(text) || domain {
        Ok(text.to_owned())
    } else {
        expected(
            "one tenant: its id, as 00000000-0000-0000-0000-000000000000, or a domain of it, as contoso.onmicrosoft.com",
        )
    }
}

/// What Entra asks of an application's own request: one resource, and all that it was granted there.
pub(in crate::config) fn entra_scope(text: &str) -> Result<String, Expected> {
    let resource = text.strip_suffix("/.default").unwrap_or_default();
    if !resource.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        expected("one scope that ends in /.default, as api://amp/.default")
    }
}

/// Comes out without white space, which counts against STS' limit.
pub(in crate::config) fn session_policy(text: &str) -> Result<String, Expected> {
    let policy: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        Expected(format!(
            "an IAM policy as JSON, not a path or an ARN ({error})"
        ))
    })?;
    if policy.get("Statement").is_none() {
        return expected("an IAM policy, which is an object with a Statement");
    }
    let compact = policy.to_string();
    if compact.chars().count() > 2048 {
        return expected("a policy of at most 2048 characters without white space");
    }
    Ok(compact)
}

/// A managed policy of AWS or of an account.
pub(in crate::config) fn policy_arn(text: &str) -> Result<String, Expected> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let valid = match parts.as_slice() {
        ["arn", partition, "iam", "", owner, resource] => {
            super::is_partition(partition)
                && (*owner == "aws"
                    || (owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit())))
                && resource.strip_prefix("policy/").is_some_and(|name| {
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
                })
        }
        _ => false,
    };
    if valid && text.len() <= 2048 {
        Ok(text.to_owned())
    } else {
        expected("ARNs of managed policies, as arn:aws:iam::111122223333:policy/NAME")
    }
}

pub(in crate::config) fn source_identity(text: &str) -> Result<String, Expected> {
    if (2..=64).contains(&text.len()) && made_of(text, "_+=,.@-") {
        Ok(text.to_owned())
    } else {
        expected("2 to 64 letters, digits and _+=,.@-")
    }
}

pub(in crate::config) fn tag(text: &str) -> Result<(String, String), Expected> {
    let allowed = |c: char| c.is_alphanumeric() || "_.:/=+-@".contains(c);
    let (key, value) = text.split_once('=').unwrap_or_default();
    let valid = (1..=128).contains(&key.chars().count())
        && value.chars().count() <= 256
        && text.chars().all(allowed)
        && !key.to_ascii_lowercase().starts_with("aws:");
    if valid {
        Ok((key.to_owned(), value.to_owned()))
    } else {
        expected(
            "KEY=VALUE without white space: letters, digits and _.:/=+-@, a key of at most 128 and a value of at most 256 characters, and no key of AWS' own (aws:)",
        )
    }
}

fn made_of(text: &str, others: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn is_guid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/amp";

    #[test]
    fn a_hop_is_a_role_with_or_without_an_external_id() {
        assert_eq!(hop(ROLE).unwrap().external_id, None);
        let with_commas = hop(&format!("{ROLE},external-id=a,b=c:/d")).unwrap();
        assert_eq!(
            (
                with_commas.role_arn.as_str(),
                with_commas.external_id.as_deref()
            ),
            (ROLE, Some("a,b=c:/d"))
        );
        for wrong in [
            "amp".to_owned(),
            format!("{ROLE},"),
            format!("{ROLE},external-id=x"),
            format!("{ROLE},external-id=a b"),
            format!("{ROLE},externalid=abc"),
        ] {
            assert!(hop(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_entra_look_like_those_of_entra() {
        let guid = "5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a";
        assert!(client_id(guid).is_ok() && tenant_id(guid).is_ok());
        assert!(tenant_id("contoso.onmicrosoft.com").is_ok());
        for wrong in [
            "",
            "common",
            "organizations",
            "a/b.c",
            "..",
            "x",
            &guid[1..],
        ] {
            assert!(tenant_id(wrong).is_err(), "{wrong}");
            assert!(client_id(wrong).is_err(), "{wrong}");
        }
        assert!(entra_scope("api://amp/.default").is_ok());
        for wrong in ["", "/.default", "api://amp", "a b/.default"] {
            assert!(entra_scope(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_session_policy_is_json_and_loses_its_white_space() {
        let policy = "{ \"Version\": \"2012-10-17\",\n \"Statement\": [] }";
        assert_eq!(
            session_policy(policy).unwrap(),
            r#"{"Statement":[],"Version":"2012-10-17"}"#
        );
        for wrong in ["", "/etc/policy.json", "{}", "[]", "{\"Statement\":"] {
            assert!(session_policy(wrong).is_err(), "{wrong}");
        }
        let long = format!(r#"{{"Statement":"{}"}}"#, "x".repeat(2048));
        assert!(session_policy(&long).unwrap_err().0.contains("2048"));
    }

    #[test]
    fn what_sts_takes_with_a_session_is_held_to_its_limits() {
        assert!(policy_arn("arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess").is_ok());
        assert!(policy_arn("arn:aws:iam::111122223333:policy/x").is_ok());
        for wrong in [
            "",
            ROLE,
            "arn:aws:iam::1:policy/x",
            "arn:aws:iam::aws:policy/",
        ] {
            assert!(policy_arn(wrong).is_err(), "{wrong}");
        }
        assert_eq!(tag("team=a=b"), Ok(("team".into(), "a=b".into())));
        assert_eq!(tag("team="), Ok(("team".into(), String::new())));
        for wrong in ["", "team", "=x", "aws:x=y", "team=a;b"] {
            assert!(tag(wrong).is_err(), "{wrong}");
        }
        assert!(source_identity("prometheus@aks").is_ok());
        assert!(source_identity("x").is_err() && source_identity("a b").is_err());
    }
}
