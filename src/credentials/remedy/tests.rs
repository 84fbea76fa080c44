use std::time::Duration;

use hyper::StatusCode;

use super::*;

fn session(arn: &str) -> RoleSession {
    RoleSession {
        role_arn: arn.to_owned(),
        name: "pod".to_owned(),
        duration: Duration::from_secs(900),
        external_id: None,
        policy: None,
        policy_arns: Vec::new(),
        source_identity: None,
        tags: Vec::new(),
    }
}

fn refused(code: &str, message: &str) -> StsError {
    StsError::Refused {
        status: StatusCode::FORBIDDEN,
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

fn claims(azp: Option<&str>) -> Claims {
    Claims {
        iss: "https://issuer.example/tenant/".to_owned(),
        sub: "system:serviceaccount:ns:sa".to_owned(),
        aud: vec!["api://amp".to_owned()],
        azp: azp.map(str::to_owned),
        exp: Some(1000),
        nbf: None,
    }
}

const FIRST: &str = "arn:aws:iam::111122223333:role/first";
const SECOND: &str = "arn:aws:iam::444455556666:role/second";

fn remedy_for(code: &str, message: &str, azp: Option<&str>, now: u64) -> String {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
    let error = refused(code, message);
    web_identity(&error, &session(FIRST), Some(&claims(azp)), now).unwrap_or_default()
}

#[test]
fn a_wrong_audience_is_named_as_the_provider_must_list_it() {
    let remedy = remedy_for("InvalidIdentityToken", "Incorrect token audience", None, 0);
    assert_eq!(
        remedy,
        r#"the IAM OIDC provider for "https://issuer.example/tenant/" must list the token's aud among its audiences: "api://amp""#
    );
    let remedy = remedy_for(
        "InvalidIdentityToken",
        "Incorrect token audience",
        Some("client"),
        0,
    );
    assert!(
        remedy.contains(r#"azp (which AWS uses as its audience) among its audiences: "client""#),
        "{remedy}"
    );
}

#[test]
fn a_missing_provider_and_an_unreadable_issuer_have_remedies_of_their_own() {
    let message =
        "No OpenIDConnect provider found in your account for https://issuer.example/tenant/";
    let remedy = remedy_for("InvalidIdentityToken", message, None, 0);
    assert!(
        remedy.contains("account 111122223333 needs an IAM OIDC provider"),
        "{remedy}"
    );
    let message = "Couldn't retrieve verification key from your identity provider";
    for remedy in [
        remedy_for("InvalidIdentityToken", message, None, 0),
        remedy_for("IDPCommunicationError", "", None, 0),
    ] {
        assert!(
            remedy.contains("https://issuer.example/tenant/.well-known/openid-configuration"),
            "{remedy}"
        );
    }
}

#[test]
fn a_denied_token_gets_the_conditions_of_the_trust_policy() {
    let remedy = remedy_for("AccessDenied", "Not authorized", Some("client"), 0);
    for words in [
        FIRST,
        r#""issuer.example/tenant/:sub" is "system:serviceaccount:ns:sa""#,
        r#""issuer.example/tenant/:aud" is "client" (its azp)"#,
        r#""issuer.example/tenant/:oaud" is "api://amp""#,
    ] {
        assert!(remedy.contains(words), "{words}: {remedy}");
    }
}

#[test]
fn an_expired_token_is_named_whatever_failed() {
    for remedy in [
        remedy_for("ExpiredTokenException", "Token expired", None, 1060),
        remedy_for("SomethingElse", "", None, 1060),
        web_identity(
            &StsError::Unusable {
                status: StatusCode::OK,
                what: String::new(),
            },
            &session(FIRST),
            Some(&claims(None)),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1060),
        )
        .unwrap(),
    ] {
        assert!(remedy.contains("expired 60 s ago"), "{remedy}");
    }
    assert!(remedy_for("ExpiredTokenException", "", None, 1060).contains("subPath"));
    assert_eq!(remedy_for("SomethingElse", "", None, 999), "");
}

#[test]
fn a_denied_hop_gets_the_policies_that_both_roles_need() {
    let mut second = session(SECOND);
    second.external_id = Some("tenant-7".to_owned());
    second.source_identity = Some("aks".to_owned());
    let remedy = hop(&refused("AccessDenied", ""), &session(FIRST), &second).unwrap();
    let actions = "sts:AssumeRole, sts:SetSourceIdentity";
    for words in [
        format!("the trust policy of {SECOND} must allow {actions} to {FIRST}"),
        format!("a policy of {FIRST} must allow {actions} on {SECOND}"),
        "no other sts:ExternalId in its conditions than the one given".to_owned(),
    ] {
        assert!(remedy.contains(&words), "{words}: {remedy}");
    }
    assert!(!remedy.contains("tenant-7"), "{remedy}");
    let without = hop(
        &refused("AccessDenied", ""),
        &session(FIRST),
        &session(SECOND),
    )
    .unwrap();
    assert!(without.contains("none is given here"), "{without}");
}
