//! The values of an identity, within the limits of the STS API reference and of Entra ID.

use std::path::PathBuf;

use crate::config::error::{Expected, checked, expected};

/// A role to assume, and the external ID that its trust policy requires.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ChainedRole {
    pub(crate) role_arn: String,
    pub(crate) external_id: Option<String>,
}

pub(crate) fn token_path(text: &str) -> Result<PathBuf, Expected> {
    if text.trim_start_matches(['"', '\'']).starts_with("eyJ") {
        expected("a path, not the token itself")
    } else {
        Ok(PathBuf::from(text))
    }
}

/// `arn:<partition>:iam::<account>:role/<path and name>`, 20 to 2048 characters (STS API reference).
pub(crate) fn role_arn(text: &str) -> Result<String, Expected> {
    const WHAT: &str = "a role ARN, for example arn:aws:iam::111122223333:role/NAME";
    if let Some(mistake) = not_a_role(text) {
        return expected(format!("{WHAT}; {mistake}"));
    }
    let valid = iam_resource(text).is_some_and(|(account, resource)| {
        account != "aws" && has_name(resource, "role/") && text.len() >= 20
    });
    checked(text, valid, WHAT)
}

/// What people paste instead.
fn not_a_role(text: &str) -> Option<String> {
    if text.contains(":assumed-role/") {
        return Some("this is the ARN of a role session".to_owned());
    }
    if text.contains(":user/") {
        return Some("this is a user's ARN; a role is needed".to_owned());
    }
    if !text.is_empty() && made_of(text, "_+=.@-/") {
        let name = text.trim_start_matches("role/");
        let whole = format!("arn:aws:iam::<account>:role/{name}");
        return Some(format!("only a name; the whole ARN is needed: {whole}"));
    }
    let account = text.split(':').nth(4).unwrap_or_default();
    let digits = account.len();
    let wrong = digits > 0 && digits != 12 && account.bytes().all(|b| b.is_ascii_digit());
    wrong.then(|| format!("the account has {digits} digits, not 12"))
}

/// `ARN` or `ARN,external-id=ID`; an external ID may contain commas, so nothing follows it.
pub(crate) fn hop(text: &str) -> Result<ChainedRole, Expected> {
    let (arn, option) = match text.split_once(',') {
        Some((arn, option)) => (arn, Some(option)),
        None => (text, None),
    };
    let role_arn = role_arn(arn)?;
    let external_id = option.map(|option| {
        let id = option.strip_prefix("external-id=").unwrap_or_default();
        let valid = (2..=1224).contains(&id.len()) && made_of(id, "_+=,.@:/-");
        let what =
            "ARN or ARN,external-id=ID, where ID is 2 to 1224 letters, digits and any of _+=,.@:/-";
        checked(id, valid, what)
    });
    Ok(ChainedRole {
        role_arn,
        external_id: external_id.transpose()?,
    })
}

/// Entra's client IDs are GUIDs.
pub(crate) fn client_id(text: &str) -> Result<String, Expected> {
    let what = "a client ID, for example 00000000-0000-0000-0000-000000000000";
    checked(text, is_guid(text), what)
}

/// A GUID or a domain; the keywords for any tenant (such as `common`) do not work for an application.
pub(crate) fn tenant_id(text: &str) -> Result<String, Expected> {
    let domain = text.contains('.')
        && (4..=253).contains(&text.len())
        && made_of(text, ".-")
        && !text.starts_with('.')
        && !text.contains("..");
    let what = "one tenant: its ID, for example 00000000-0000-0000-0000-000000000000, or one of its domains, for example contoso.onmicrosoft.com";
    checked(text, is_guid(text) || domain, what)
}

/// Entra's requirement for the client credentials grant: one resource, with `.default`.
pub(crate) fn entra_scope(text: &str) -> Result<String, Expected> {
    let resource = text.strip_suffix("/.default").unwrap_or_default();
    let valid = !resource.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let what = "one scope that ends in /.default, for example api://amp/.default";
    checked(text, valid, what)
}

/// Without white space, which counts against STS' limit.
pub(crate) fn session_policy(text: &str) -> Result<String, Expected> {
    let policy: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        Expected(format!(
            "an IAM policy in JSON, not a path or an ARN ({error})"
        ))
    })?;
    if policy.get("Statement").is_none() {
        return expected("an IAM policy, which is an object with a Statement");
    }
    let compact = policy.to_string();
    let valid = compact.chars().count() <= 2048;
    let what = "a policy of at most 2048 characters without white space";
    checked(&compact, valid, what)
}

/// A managed policy of AWS or of an account.
pub(crate) fn policy_arn(text: &str) -> Result<String, Expected> {
    let valid = iam_resource(text).is_some_and(|(_, resource)| has_name(resource, "policy/"));
    let what = "ARNs of managed policies, for example arn:aws:iam::111122223333:policy/NAME";
    checked(text, valid, what)
}

pub(crate) fn source_identity(text: &str) -> Result<String, Expected> {
    let valid = (2..=64).contains(&text.len()) && made_of(text, "_+=,.@-");
    checked(text, valid, "2 to 64 letters, digits and any of _+=,.@-")
}

pub(crate) fn tag(text: &str) -> Result<(String, String), Expected> {
    let allowed = |c: char| c.is_alphanumeric() || "_.:/=+-@".contains(c);
    let (key, value) = text.split_once('=').unwrap_or_default();
    let valid = (1..=128).contains(&key.chars().count())
        && value.chars().count() <= 256
        && text.chars().all(allowed)
        && !key.to_ascii_lowercase().starts_with("aws:");
    if !valid {
        return expected(
            "KEY=VALUE without white space: letters, digits and any of _.:/=+-@, at most 128 characters in the key, which must not begin with aws:, and at most 256 in the value",
        );
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Account (or `aws`) and resource of an IAM ARN.
fn iam_resource(text: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = *parts else {
        return None;
    };
    // AWS may add partitions.
    let partition = partition.starts_with("aws")
        && partition
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b == b'-');
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let valid = partition && (digits || account == "aws") && text.len() <= 2048;
    valid.then_some((account, resource))
}

fn has_name(resource: &str, prefix: &str) -> bool {
    let name = resource.strip_prefix(prefix).unwrap_or_default();
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether it consists of letters, digits and `others`.
pub(crate) fn made_of(text: &str, others: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

pub(crate) fn is_guid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/amp";

    #[test]
    fn a_role_is_not_a_session_of_it() {
        assert!(role_arn("arn:aws:iam::111122223333:role/path/amp").is_ok());
        assert!(role_arn("arn:aws-us-gov:iam::111122223333:role/amp").is_ok());
        for (wrong, words) in [
            (
                "arn:aws:sts::111122223333:assumed-role/amp/pod",
                "this is the ARN of a role session",
            ),
            (
                "arn:aws:iam::111122223333:user/x",
                "this is a user's ARN; a role is needed",
            ),
            (
                "amp",
                "only a name; the whole ARN is needed: arn:aws:iam::<account>:role/amp",
            ),
            (
                "arn:aws:iam::11112222333:role/amp",
                "the account has 11 digits, not 12",
            ),
        ] {
            let expected = role_arn(wrong).unwrap_err().0;
            assert!(expected.ends_with(&format!("; {words}")), "{expected}");
        }
        for wrong in [
            "",
            "amp",
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::aws:role/x",
            "arn:aws:iam::111122223333:role/",
            "arn:aws\u{f}:iam::111122223333:role/amp",
        ] {
            assert!(role_arn(wrong).is_err(), "{wrong:?}");
        }
    }

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
    fn entra_ids_are_validated() {
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
    fn session_values_stay_within_the_limits_of_sts() {
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
