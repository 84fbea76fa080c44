use std::time::Duration;

use hyper::StatusCode;

use super::*;
use crate::remedies::policies::DENY_ORGANIZATION;

fn session(arn: &str) -> RoleSession {
    RoleSession::plain(arn.to_owned(), Some("pod".to_owned()))
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

const REGION: &str = "eu-south-1";

fn remedy_for(code: &str, message: &str, azp: Option<&str>, now: u64) -> String {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
    let error = refused(code, message);
    web_identity(&error, &session(FIRST), REGION, Some(&claims(azp)), now).to_string()
}

/// The rows for a token with these claims, and the one line.
fn advice_for(code: &str, message: &str, claims: &Claims) -> (Vec<&'static str>, String) {
    let error = refused(code, message);
    let now = SystemTime::UNIX_EPOCH;
    let advice = web_identity(&error, &session(FIRST), REGION, Some(claims), now);
    let rows = advice.rows().iter().map(|row| row.id).collect();
    (rows, advice.to_string())
}

#[test]
fn a_wrong_audience_is_named_as_the_provider_must_list_it() {
    let remedy = remedy_for("InvalidIdentityToken", "Incorrect token audience", None, 0);
    assert_eq!(
        remedy,
        r#"project the token with audience: sts.amazonaws.com; or, if another audience is wanted, the IAM OIDC provider for "https://issuer.example/tenant/" must list the token's aud among its audiences: "api://amp""#
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
            REGION,
            Some(&claims(None)),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1060),
        )
        .to_string(),
    ] {
        assert!(remedy.contains("expired 60 s ago"), "{remedy}");
    }
    assert!(remedy_for("ExpiredTokenException", "", None, 1060).contains("subPath"));
    assert_eq!(
        remedy_for("SomethingElse", "", None, 999),
        STS_REFUSAL.remedy
    );
}

#[test]
fn a_denied_hop_gets_the_policies_that_both_roles_need() {
    let mut second = session(SECOND);
    second.external_id = Some("tenant-7".to_owned());
    second.source_identity = Some("aks".to_owned());
    let denied = refused("AccessDenied", "");
    let remedy = hop(&denied, Some(&session(FIRST)), &second, REGION).to_string();
    let actions = "sts:AssumeRole, sts:SetSourceIdentity";
    for words in [
        format!("the trust policy of {SECOND} must allow {actions} to {FIRST}"),
        format!("a policy of {FIRST} must allow {actions} on {SECOND}"),
        "no other sts:ExternalId in its conditions than the one given".to_owned(),
    ] {
        assert!(remedy.contains(&words), "{words}: {remedy}");
    }
    assert!(!remedy.contains("tenant-7"), "{remedy}");
    let without = hop(&denied, Some(&session(FIRST)), &session(SECOND), REGION).to_string();
    assert!(without.contains("none is given here"), "{without}");
}

#[test]
fn a_policy_that_denies_is_named_instead_of_the_policies_that_allow() {
    let message = "User: arn:aws:sts::1:assumed-role/first/pod is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::2:role/second with an explicit deny in a service control policy";
    let advice = hop(
        &refused("AccessDenied", message),
        Some(&session(FIRST)),
        &session(SECOND),
        REGION,
    );
    assert_eq!(advice.rows(), [DENY_ORGANIZATION]);
    let endpoint = message
        .replace("AssumeRole ", "AssumeRoleWithWebIdentity ")
        .replace("service control policy", "VPC endpoint policy");
    let (rows, _) = advice_for("AccessDenied", &endpoint, &claims(None));
    assert_eq!(rows, ["deny-endpoint"]);
}

#[test]
fn a_thumbprint_is_updated_by_a_command_that_names_the_provider() {
    let message = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint";
    let (rows, text) = advice_for("InvalidIdentityToken", message, &claims(None));
    assert_eq!(rows, ["provider-thumbprint"]);
    let command = "aws iam update-open-id-connect-provider-thumbprint --open-id-connect-provider-arn arn:aws:iam::111122223333:oidc-provider/issuer.example/tenant/ --thumbprint-list";
    assert!(text.contains(command), "{text}");
}

#[test]
fn the_api_servers_audience_is_not_to_be_added_to_the_provider() {
    let message = "Incorrect token audience";
    for aud in [
        &["https://kubernetes.default.svc"][..],
        &[
            "https://a.hcp.eastus.azmk8s.io",
            "\"a.hcp.eastus.azmk8s.io\"",
        ],
        &["https://issuer.example/tenant/"],
    ] {
        let claims = Claims {
            aud: aud.iter().map(|aud| (*aud).to_owned()).collect(),
            ..claims(None)
        };
        let (rows, text) = advice_for("InvalidIdentityToken", message, &claims);
        assert_eq!(rows, ["token-for-api-server"], "{aud:?}");
        assert!(text.contains("do not add"), "{text}");
    }
    let right = Claims {
        aud: vec!["sts.amazonaws.com".to_owned()],
        ..claims(None)
    };
    let (rows, _) = advice_for("InvalidIdentityToken", message, &right);
    assert_eq!(rows, ["provider-audience"]);
}

#[test]
fn the_default_service_account_is_asked_about_and_not_trusted() {
    let default = Claims {
        sub: "system:serviceaccount:monitoring:default".to_owned(),
        ..claims(None)
    };
    let (rows, text) = advice_for("AccessDenied", "Not authorized", &default);
    assert_eq!(rows, ["subject-default", "role-missing"]);
    assert!(
        text.starts_with("is serviceAccountName missing") && !text.contains("trust policy"),
        "{text}"
    );
}

#[test]
fn a_provider_that_iam_cannot_have_is_not_to_be_created() {
    for (iss, row) in [
        ("https://oidc.example.com:6443", "issuer-unfit"),
        ("https://10.0.0.1/", "issuer-unfit"),
        ("https://kubernetes.default.svc", "issuer-internal"),
    ] {
        let claims = Claims {
            iss: iss.to_owned(),
            ..claims(None)
        };
        let message = format!("No OpenIDConnect provider found in your account for {iss}");
        let (rows, text) = advice_for("InvalidIdentityToken", &message, &claims);
        assert_eq!(rows, [row], "{iss}");
        assert!(
            text.contains(iss) && !text.contains("needs an IAM OIDC provider"),
            "{text}"
        );
    }
}

#[test]
fn a_disabled_region_and_an_unknown_host_are_named() {
    let (rows, text) = advice_for("RegionDisabledException", "", &claims(None));
    assert_eq!(rows, ["region-disabled"]);
    assert!(text.contains("STS is disabled in eu-south-1"), "{text}");

    let unknown = HttpError::Connect(ConnectError::Resolve {
        host: "sts.eu-sud-1.amazonaws.com".to_owned(),
        source: std::io::Error::other("no such name"),
    });
    let advice = unanswered(&unknown, "eu-sud-1");
    assert_eq!(advice.rows(), [NAME_UNRESOLVED]);
    let text = advice.to_string();
    assert!(
        text.contains("sts.eu-sud-1.amazonaws.com does not exist") && text.contains("(eu-sud-1:"),
        "{text}"
    );
}

#[test]
fn a_refused_connection_and_a_proxys_407_are_named() {
    let address = "10.0.0.1:8443".parse().unwrap();
    let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let refused = HttpError::Connect(ConnectError::Tcp { address, source });
    let text = unanswered(&refused, "eu-central-1").to_string();
    assert!(
        text.contains("egress from this pod to 10.0.0.1:8443 ")
            && text.contains("or nothing listens there"),
        "{text}"
    );
    let asked = StsError::Unusable {
        status: hyper::StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        what: "a web page".to_owned(),
    };
    let text = of_any(&asked, "", "eu-central-1").to_string();
    assert_eq!(text, PROXY_NO_PASSWORD.remedy);
}
