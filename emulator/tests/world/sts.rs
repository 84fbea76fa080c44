//! STS over the wire: what it grants, and every way in which it refuses.

use std::time::{Duration, SystemTime};

use emulator::fault::{Fault, FaultKind};
use emulator::issuer::BrokenToken;
use emulator::sts::StsRefusal;
use emulator::world::{Target, World, WorldConfig};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::client::{Answer, address, ask, assume};

const NO_KEY: &str = "Couldn't retrieve verification key from your identity provider";
const NOT_AUTHORIZED: &str = "Not authorized to perform sts:AssumeRoleWithWebIdentity";

async fn world() -> World {
    World::start(WorldConfig::default()).await.expect("a world")
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, message: &str) {
    assert_eq!(
        (answer.status, answer.element("Code")),
        (status, code),
        "{}",
        answer.body
    );
    assert!(
        answer
            .body
            .starts_with("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">")
    );
    assert_eq!(answer.element("Type"), "Sender");
    let said = answer.element("Message").replace("&apos;", "'");
    assert!(said.contains(message), "{said}");
    assert_eq!(
        answer.header("x-amzn-requestid"),
        Some(answer.element("RequestId"))
    );
    assert!(answer.header("date").is_some());
    assert!(!answer.body.contains("AccessKeyId"));
}

#[tokio::test]
async fn a_good_token_gets_a_session_that_amp_can_find() {
    let world = world().await;
    let before = SystemTime::now();
    let answer = assume(&world, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    assert_eq!(
        answer.header("x-amzn-requestid"),
        Some(answer.element("RequestId"))
    );
    assert_eq!(
        answer.element("SubjectFromWebIdentityToken"),
        "system:serviceaccount:monitoring:prometheus"
    );
    assert_eq!(answer.element("Audience"), "sts.amazonaws.com");
    assert!(
        answer.element("Provider").ends_with('/'),
        "the slash is part of the provider"
    );

    let session = world
        .sessions()
        .find(answer.element("AccessKeyId"))
        .expect("issued");
    assert_eq!(session.secret_access_key, answer.element("SecretAccessKey"));
    assert_eq!(session.session_token, answer.element("SessionToken"));
    assert_eq!(session.assumed_role_arn, answer.element("Arn"));
    assert_eq!(session.role_arn, world.role_arn());
    let expiration = OffsetDateTime::parse(answer.element("Expiration"), &Rfc3339).expect("a time");
    let left = SystemTime::from(expiration)
        .duration_since(before)
        .expect("ahead")
        .as_secs();
    assert!((3598..=3602).contains(&left), "{left}");
    assert!(
        answer.element("Expiration").ends_with('Z') && !answer.element("Expiration").contains('.')
    );
}

#[tokio::test]
async fn sessions_can_be_made_to_live_for_seconds() {
    let config = WorldConfig {
        session_life: Some(Duration::from_secs(7)),
        ..WorldConfig::default()
    };
    let world = World::start(config).await.expect("a world");
    let life = |answer: &Answer| {
        let session = world
            .sessions()
            .find(answer.element("AccessKeyId"))
            .expect("issued");
        session
            .expiration
            .duration_since(SystemTime::now())
            .expect("ahead")
            .as_secs_f64()
    };
    let answer = assume(&world, &[("DurationSeconds", "3600")]).await;
    assert!((4.0..=7.0).contains(&life(&answer)));
    world.sts().set_session_life(None);
    let answer = assume(&world, &[("DurationSeconds", "1800")]).await;
    assert!((1797.0..=1800.0).contains(&life(&answer)));
}

#[tokio::test]
async fn each_useless_token_is_refused_in_its_own_way() {
    let world = world().await;
    let no_provider = format!(
        "No OpenIDConnect provider found in your account for {}",
        world.issuer_url().trim_end_matches('/')
    );
    let jwt = "The ID Token provided is not a valid JWT";
    let short = "Member must have length greater than or equal to 4";
    for (how, status, code, message) in [
        (BrokenToken::Missing, 400, "ValidationError", short),
        (BrokenToken::Empty, 400, "ValidationError", short),
        (BrokenToken::Truncated, 400, "InvalidIdentityToken", jwt),
        (BrokenToken::NotAToken, 400, "InvalidIdentityToken", jwt),
        (
            BrokenToken::Expired,
            400,
            "ExpiredTokenException",
            "Token expired: current date/time ",
        ),
        (
            BrokenToken::NotYetValid,
            400,
            "InvalidIdentityToken",
            "not valid yet",
        ),
        (
            BrokenToken::WrongAudience,
            400,
            "InvalidIdentityToken",
            "Incorrect token audience",
        ),
        (
            BrokenToken::NoAudience,
            400,
            "InvalidIdentityToken",
            "Missing a required claim: aud",
        ),
        (
            BrokenToken::WrongSubject,
            403,
            "AccessDenied",
            NOT_AUTHORIZED,
        ),
        (
            BrokenToken::WrongIssuer,
            400,
            "InvalidIdentityToken",
            no_provider.as_str(),
        ),
        (BrokenToken::UnknownKey, 400, "InvalidIdentityToken", NO_KEY),
        (
            BrokenToken::BadSignature,
            400,
            "InvalidIdentityToken",
            "signature",
        ),
    ] {
        world.break_token(how).expect("written");
        refused(&assume(&world, &[]).await, status, code, message);
    }
    assert_eq!(
        (world.sts().calls().issued(), world.sts().calls().refused()),
        (0, 12)
    );
    world.rotate_token().expect("written");
    assert_eq!(assume(&world, &[]).await.status, 200);
}

#[tokio::test]
async fn other_actions_versions_and_parameters_are_refused() {
    let world = world().await;
    let invalid = "Could not find operation GetSessionToken for version 2011-06-15";
    for (changes, code, message) in [
        ([("Action", "GetSessionToken")], "InvalidAction", invalid),
        (
            [("Version", "2010-05-08")],
            "InvalidAction",
            "for version 2010-05-08",
        ),
        (
            [("Version", "-")],
            "InvalidAction",
            "Could not find operation",
        ),
        ([("Action", "-")], "MissingAction", "Missing Action"),
        (
            [("RoleSessionName", "a")],
            "ValidationError",
            "at 'roleSessionName' failed to satisfy constraint",
        ),
        (
            [("RoleArn", "-")],
            "ValidationError",
            "Value null at 'roleArn'",
        ),
        (
            [("DurationSeconds", "60")],
            "ValidationError",
            "greater than or equal to 900",
        ),
        (
            [("DurationSeconds", "7200")],
            "ValidationError",
            "exceeds the MaxSessionDuration set for this role",
        ),
    ] {
        refused(&assume(&world, &changes).await, 400, code, message);
    }
}

#[tokio::test]
async fn an_unknown_role_and_an_unknown_account_are_refused_differently_as_by_aws() {
    let world = world().await;
    let role = [("RoleArn", "arn:aws:iam::123456789012:role/another")];
    refused(
        &assume(&world, &role).await,
        403,
        "AccessDenied",
        NOT_AUTHORIZED,
    );
    let account = [(
        "RoleArn",
        "arn:aws:iam::210987654321:role/amp-sidecar-writer",
    )];
    let message = "No OpenIDConnect provider found in your account for ";
    refused(
        &assume(&world, &account).await,
        400,
        "InvalidIdentityToken",
        message,
    );
}

/// As Envoy and vmagent ask.
#[tokio::test]
async fn a_query_is_as_good_as_a_form() {
    let world = world().await;
    let token = std::fs::read_to_string(world.token_file()).expect("a token");
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", world.role_arn())
        .append_pair("RoleSessionName", "query")
        .append_pair("WebIdentityToken", &token)
        .finish();
    let path = format!("/?{query}");
    let answer = ask(address(world.sts_url()), "GET", &path, "text/plain", "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let key = answer.element("AccessKeyId");
    assert!(world.sessions().find(key).is_some());
}

#[tokio::test]
async fn what_is_no_form_posted_to_the_root_never_reaches_an_action() {
    let world = world().await;
    let sts = address(world.sts_url());
    let form = "application/x-www-form-urlencoded";
    for (method, path, kind) in [
        ("GET", "/", form),
        ("POST", "/sts", form),
        ("POST", "/", "application/json"),
    ] {
        let answer = ask(
            sts,
            method,
            path,
            kind,
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15",
        )
        .await;
        assert_eq!(answer.status, 404, "{method} {path} {kind}");
    }
    assert!(world.sts_calls().is_empty());
    assert_eq!(world.journal(Target::Sts).total(), 3);
}

#[tokio::test]
async fn the_trust_policy_is_the_users_own_and_its_slash_counts() {
    let policy = |keys: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {{"Federated": "arn:aws:iam::123456789012:oidc-provider/${{ISSUER}}"}},
            "Condition": {keys}}}]}}"#
        )
    };
    let subject = "system:serviceaccount:monitoring:prometheus";
    for (keys, status) in [
        (
            format!(r#"{{"StringEquals": {{"${{ISSUER}}:sub": "{subject}"}}}}"#),
            200,
        ),
        (
            format!(r#"{{"StringEquals": {{"${{ISSUER}}/:sub": "{subject}"}}}}"#),
            403,
        ),
        (
            r#"{"StringLike": {"${ISSUER}:sub": "system:serviceaccount:monitoring:*"}}"#.to_owned(),
            200,
        ),
        (
            r#"{"StringEquals": {"${ISSUER}:aud": "another"}}"#.to_owned(),
            403,
        ),
    ] {
        let config = WorldConfig {
            trust_policy: Some(policy(&keys)),
            ..WorldConfig::default()
        };
        let world = World::start(config).await.expect("a world");
        assert_eq!(assume(&world, &[]).await.status, status, "{keys}");
    }
}

#[tokio::test]
async fn a_provider_registered_without_the_slash_is_not_found() {
    let config = WorldConfig {
        provider_url: Some("https://oidc.example/tenant".into()),
        ..WorldConfig::default()
    };
    let world = World::start(config).await.expect("a world");
    let message = format!(
        "No OpenIDConnect provider found in your account for {}",
        world.issuer_url()
    );
    refused(
        &assume(&world, &[]).await,
        400,
        "InvalidIdentityToken",
        &message,
    );
    assert_eq!(
        world.journal(Target::Issuer).total(),
        0,
        "nothing is fetched for an unknown issuer"
    );
}

#[tokio::test]
async fn the_keys_are_really_fetched_from_the_issuer() {
    let world = world().await;
    assert_eq!(assume(&world, &[]).await.status, 200);
    let paths: Vec<_> = world
        .journal(Target::Issuer)
        .requests()
        .into_iter()
        .map(|seen| seen.path)
        .collect();
    assert_eq!(paths.len(), 2);
    assert!(
        paths[0].ends_with("/.well-known/openid-configuration")
            && paths[1].ends_with("/openid/v1/jwks")
    );

    for kind in [
        FaultKind::answer(500, "no"),
        FaultKind::answer(200, "{}"),
        FaultKind::Reset,
        FaultKind::Redirect {
            status: 302,
            location: world.issuer_url().to_owned(),
        },
        FaultKind::BrokenBody { status: None },
        FaultKind::EndlessBody { status: None },
    ] {
        for path in ["openid-configuration", "jwks"] {
            world
                .faults(Target::Issuer)
                .set([Fault::new(kind.clone()).on_path(path)]);
            refused(
                &assume(&world, &[]).await,
                400,
                "InvalidIdentityToken",
                NO_KEY,
            );
        }
    }
    world.faults(Target::Issuer).clear();
    assert_eq!(assume(&world, &[]).await.status, 200);
}

#[tokio::test]
async fn an_issuer_slower_than_five_seconds_is_given_up() {
    let world = world().await;
    world
        .faults(Target::Issuer)
        .set([Fault::new(FaultKind::Hang)]);
    let begun = std::time::Instant::now();
    refused(
        &assume(&world, &[]).await,
        400,
        "InvalidIdentityToken",
        NO_KEY,
    );
    assert!((4.9..9.0).contains(&begun.elapsed().as_secs_f64()));
}

#[tokio::test]
async fn an_issuer_with_tls_is_verified() {
    let config = WorldConfig {
        issuer_https: true,
        ..WorldConfig::default()
    };
    let world = World::start(config).await.expect("a world");
    assert!(world.issuer_url().starts_with("https://"));
    assert_eq!(assume(&world, &[]).await.status, 200);
    world.present(emulator::tls::Presented::UnknownAuthority);
    refused(
        &assume(&world, &[]).await,
        400,
        "InvalidIdentityToken",
        NO_KEY,
    );
}

#[tokio::test]
async fn tokens_outlive_a_key_rotation_until_the_old_key_is_forgotten() {
    let world = world().await;
    world.rotate_keys().expect("a key");
    assert_eq!(
        assume(&world, &[]).await.status,
        200,
        "signed with the old key, still published"
    );
    world.issuer().forget_old_keys();
    refused(
        &assume(&world, &[]).await,
        400,
        "InvalidIdentityToken",
        NO_KEY,
    );
    world.rotate_token().expect("written");
    assert_eq!(
        assume(&world, &[]).await.status,
        200,
        "signed with the new key"
    );
}

#[tokio::test]
async fn the_clock_decides_what_is_expired() {
    let world = world().await;
    world.clock().set_offset_seconds(7200);
    let answer = assume(&world, &[]).await;
    refused(
        &answer,
        400,
        "ExpiredTokenException",
        "must be before the expiration date/time",
    );
    let date = httpdate::parse_http_date(answer.header("date").expect("a date")).expect("a date");
    let ahead = date
        .duration_since(SystemTime::now())
        .expect("ahead")
        .as_secs();
    assert!((7195..=7200).contains(&ahead), "{ahead}");
    world.clock().set_offset_seconds(-600);
    refused(
        &assume(&world, &[]).await,
        400,
        "InvalidIdentityToken",
        "not valid yet",
    );
}

#[tokio::test]
async fn calls_are_logged_with_their_outcome_and_overlap_is_counted() {
    let world = world().await;
    world
        .faults(Target::Issuer)
        .set([Fault::new(FaultKind::Delay(Duration::from_millis(200)))]);
    let (one, two) = tokio::join!(
        assume(&world, &[]),
        assume(&world, &[("RoleSessionName", "x")])
    );
    let calls = world.sts_calls();
    assert_eq!(calls.len(), 2);
    let granted = calls
        .iter()
        .find(|call| call.outcome.is_ok())
        .expect("one granted");
    assert_eq!(
        granted.outcome.as_ref().ok().map(String::as_str),
        Some(one.element("AccessKeyId"))
    );
    assert_eq!(granted.session_name.as_deref(), Some("prometheus-0"));
    assert!(granted.token_id.is_some());
    assert!(
        calls
            .iter()
            .any(|call| matches!(call.outcome, Err(StsRefusal::Validation(_))))
    );
    assert_eq!(two.element("Code"), "ValidationError");

    tokio::join!(assume(&world, &[]), assume(&world, &[]));
    let counts = world.journal(Target::Sts).counts();
    assert_eq!(
        (counts.requests, counts.in_flight, counts.max_in_flight),
        (4, 0, 2)
    );
}
