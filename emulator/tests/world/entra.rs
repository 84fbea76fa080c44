//! Entra ID over the wire: the exchange, its refusals, and what AWS makes of the access tokens.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emulator::entra::{Application, EntraConfig, EntraRefusal, FederatedCredential, TokenVersion};
use emulator::fault::{Fault, FaultKind};
use emulator::issuer::BrokenToken;
use emulator::world::{Target, World, WorldConfig};
use serde_json::{Value, json};

use crate::client::{Answer, address, ask, assume, handshake};

const FORM: &str = "application/x-www-form-urlencoded";

async fn world(version: TokenVersion) -> World {
    with(version, |_| {}).await
}

async fn with(version: TokenVersion, change: impl FnOnce(&mut EntraConfig)) -> World {
    let mut entra = EntraConfig::new(version);
    change(&mut entra);
    World::start(WorldConfig::through_entra(entra))
        .await
        .expect("a world")
}

/// A token request as a sidecar makes it; a value of `-` leaves the field out.
async fn exchange(world: &World, changes: &[(&str, &str)]) -> Answer {
    let config = world.entra().expect("Entra").config();
    exchange_at(world, &config.tenant_id, changes).await
}

async fn exchange_at(world: &World, tenant: &str, changes: &[(&str, &str)]) -> Answer {
    let config = world.entra().expect("Entra").config();
    let token = fs::read_to_string(world.token_file()).expect("a token");
    let mut fields = vec![
        ("grant_type", "client_credentials"),
        ("client_id", config.applications[0].client_id.as_str()),
        ("scope", config.scope.as_str()),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", token.as_str()),
    ];
    for (name, value) in changes {
        fields.retain(|(present, _)| present != name);
        if *value != "-" {
            fields.push((name, value));
        }
    }
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let entra = address(world.entra_url().expect("Entra"));
    ask(
        entra,
        "POST",
        &format!("/{tenant}/oauth2/v2.0/token"),
        FORM,
        &form,
    )
    .await
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn access_token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["access_token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str, code: u32, text: &str) {
    let body = answer.json();
    let description = body["error_description"].as_str().expect("a text");
    assert_eq!(
        (answer.status, &body["error"]),
        (status, &json!(error)),
        "{body}"
    );
    assert_eq!(body["error_codes"], json!([code]));
    assert!(
        description.starts_with(&format!("AADSTS{code}: ")),
        "{description}"
    );
    assert!(description.contains(text), "{description}");
    for field in ["timestamp", "trace_id", "correlation_id"] {
        assert!(
            description.contains(body[field].as_str().expect(field)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn version_1_is_for_the_app_id_uri_and_opens_the_role() {
    let world = world(TokenVersion::V1).await;
    let config = world.entra().expect("Entra").config().clone();
    let answer = exchange(&world, &[]).await;
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert_eq!(answer.json()["expires_in"], 3599);
    let token = access_token(&answer);
    let said = claims(&token);
    let client_id = &config.applications[0].client_id;
    let issuer = format!("{}{}/", world.entra_url().expect("Entra"), config.tenant_id);
    assert_eq!(said["iss"], json!(issuer));
    assert_eq!(said["aud"], json!(format!("api://{client_id}")));
    assert_eq!(said["appid"], json!(client_id));
    assert_eq!((&said["ver"], &said["azp"]), (&json!("1.0"), &Value::Null));
    assert_eq!(said["sub"], said["oid"]);
    assert_eq!(said["sub"], json!(config.applications[0].service_principal));

    let session = assume(&world, &[("WebIdentityToken", &token)]).await;
    assert_eq!(session.status, 200, "{}", session.body);
    assert_eq!(session.element("Audience"), format!("api://{client_id}"));
    assert!(
        session
            .element("Provider")
            .ends_with(&format!("{}/", config.tenant_id))
    );
    assert_eq!(world.entra().expect("Entra").calls().issued(), 1);
    // STS read Entra's documents, Entra the cluster's.
    assert_eq!(world.journal(Target::Entra).total(), 3);
    assert_eq!(world.journal(Target::Issuer).total(), 2);
}

#[tokio::test]
async fn version_2_is_judged_by_its_authorized_party() {
    let world = world(TokenVersion::V2).await;
    let config = world.entra().expect("Entra").config().clone();
    let client_id = &config.applications[0].client_id;
    let token = access_token(&exchange(&world, &[]).await);
    let said = claims(&token);
    let issuer = format!(
        "{}{}/v2.0",
        world.entra_url().expect("Entra"),
        config.tenant_id
    );
    assert_eq!(said["iss"], json!(issuer));
    assert_eq!(
        (&said["aud"], &said["azp"]),
        (&json!(client_id), &json!(client_id))
    );
    assert_eq!(
        (&said["ver"], &said["appid"]),
        (&json!("2.0"), &Value::Null)
    );
    let session = assume(&world, &[("WebIdentityToken", &token)]).await;
    assert_eq!(
        (session.status, session.element("Audience")),
        (200, client_id.as_str())
    );
}

#[tokio::test]
async fn with_a_resource_of_its_own_aud_and_azp_differ_and_aws_asks_for_azp() {
    let resource = "0c0ffee0-1234-4567-89ab-0123456789ab";
    let policy = r#"{"Statement": {"Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/${ENTRA}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {"${ENTRA}:aud": "CLIENT", "${ENTRA}:oaud": "RESOURCE"}}}}"#;
    let mut entra = EntraConfig::new(TokenVersion::V1);
    let client_id = entra.applications[0].client_id.clone();
    entra.applications.push(Application {
        client_id: resource.into(),
        id_uris: vec!["https://aws.example/".into()],
        service_principal: Some("object".into()),
        accepted_version: TokenVersion::V2,
        federated_credentials: Vec::new(),
    });
    // The App ID URI ends in a slash, which stays before `/.default`.
    entra.scope = "https://aws.example//.default".into();
    let mut config = WorldConfig::through_entra(entra.clone());
    config.trust_policy = Some(
        policy
            .replace("CLIENT", &client_id)
            .replace("RESOURCE", resource),
    );
    let world = World::start(config).await.expect("a world");
    let token = access_token(&exchange(&world, &[]).await);
    assert_eq!(claims(&token)["aud"], json!(resource));
    assert_eq!(claims(&token)["azp"], json!(client_id));
    assert_eq!(
        assume(&world, &[("WebIdentityToken", &token)]).await.status,
        200
    );
    let by_id = exchange(&world, &[("scope", &format!("{resource}/.default"))]).await;
    assert_eq!(claims(&access_token(&by_id))["aud"], json!(resource));

    entra.aws_client_ids = Some(vec![resource.into()]);
    let world = World::start(WorldConfig::through_entra(entra))
        .await
        .expect("a world");
    let token = access_token(&exchange(&world, &[]).await);
    let refused = assume(&world, &[("WebIdentityToken", &token)]).await;
    assert_eq!(refused.element("Message"), "Incorrect token audience");
}

#[tokio::test]
async fn the_slash_of_version_1_is_part_of_the_condition_key() {
    let mut config = WorldConfig::through_entra(EntraConfig::new(TokenVersion::V1));
    let open = r#"{"Statement": {"Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/${ENTRA}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringLike": {"${ENTRA}:sub": "*"}}}}"#;
    for (key, status) in [("${ENTRA}:sub", 200), ("${ENTRA}wrong:sub", 403)] {
        config.trust_policy = Some(open.replace("${ENTRA}:sub", key));
        let world = World::start(config.clone()).await.expect("a world");
        let token = access_token(&exchange(&world, &[]).await);
        let answer = assume(&world, &[("WebIdentityToken", &token)]).await;
        assert_eq!(answer.status, status, "{key}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_refusal_has_its_code() {
    let world = with(TokenVersion::V1, |entra| {
        let own = entra.applications[0].clone();
        entra.applications.push(Application {
            client_id: "no-principal".into(),
            service_principal: None,
            ..own.clone()
        });
        entra.applications.push(Application {
            client_id: "no-credentials".into(),
            id_uris: Vec::new(),
            federated_credentials: Vec::new(),
            ..own
        });
    })
    .await;
    let request = "invalid_request";
    let client = "invalid_client";
    for (changes, status, error, code, text) in [
        (("grant_type", "-"), 400, request, 900_144, "'grant_type'"),
        (("client_id", "-"), 400, request, 900_144, "'client_id'"),
        (("scope", ""), 400, request, 900_144, "'scope'"),
        (
            ("grant_type", "password"),
            400,
            "unsupported_grant_type",
            70_003,
            "'password'",
        ),
        (
            ("scope", "api://x/read"),
            400,
            "invalid_scope",
            1_002_012,
            "scope api://x/read is not valid",
        ),
        (
            ("scope", "api://x/.default"),
            400,
            "invalid_resource",
            500_011,
            "resource principal named api://x was",
        ),
        (
            ("client_id", "nobody"),
            400,
            "unauthorized_client",
            700_016,
            "identifier 'nobody'",
        ),
        (
            ("client_id", "no-principal"),
            401,
            client,
            7_000_229,
            "missing service principal",
        ),
        (
            ("client_id", "no-credentials"),
            401,
            client,
            70_025,
            "no-credentials",
        ),
        (
            ("client_assertion", "-"),
            401,
            client,
            7_000_216,
            "required",
        ),
        (
            ("client_assertion_type", "saml"),
            401,
            client,
            7_000_216,
            "required",
        ),
        (
            ("client_assertion", "a.b.c"),
            400,
            request,
            50_027,
            "malformed",
        ),
    ] {
        let answer = exchange(&world, &[changes]).await;
        refused(&answer, status, error, code, text);
    }
    let elsewhere = exchange_at(&world, "contoso", &[]).await;
    refused(
        &elsewhere,
        400,
        request,
        90_002,
        "Tenant 'contoso' not found",
    );
    let entra = world.entra().expect("Entra");
    assert_eq!((entra.calls().issued(), entra.calls().refused()), (0, 13));
    let calls = entra.calls().all();
    assert_eq!(
        calls.last().expect("the last").outcome,
        Err(EntraRefusal::TenantNotFound("contoso".into()))
    );
    assert!(calls.iter().all(|call| call.outcome.is_err()));
}

#[tokio::test]
async fn every_broken_token_is_refused_for_its_own_reason() {
    let world = world(TokenVersion::V1).await;
    for (how, status, error, code, text) in [
        (BrokenToken::Truncated, 400, "invalid_request", 50_027, ""),
        (BrokenToken::NotAToken, 400, "invalid_request", 50_027, ""),
        (BrokenToken::Empty, 401, "invalid_client", 7_000_216, ""),
        (
            BrokenToken::Expired,
            401,
            "invalid_client",
            700_024,
            "not within its valid time range. Current time: 20",
        ),
        (BrokenToken::NotYetValid, 401, "invalid_client", 700_024, ""),
        (
            BrokenToken::WrongAudience,
            401,
            "invalid_client",
            700_212,
            "audience 'https://kubernetes.default.svc'",
        ),
        (
            BrokenToken::NoAudience,
            401,
            "invalid_client",
            700_212,
            "audience ''",
        ),
        (
            BrokenToken::WrongSubject,
            401,
            "invalid_client",
            700_213,
            "subject 'system:serviceaccount:monitoring:grafana'",
        ),
        (
            BrokenToken::WrongIssuer,
            401,
            "invalid_client",
            700_211,
            "issuer 'http://",
        ),
        (
            BrokenToken::UnknownKey,
            401,
            "invalid_client",
            700_027,
            "not found",
        ),
        (
            BrokenToken::BadSignature,
            401,
            "invalid_client",
            700_027,
            "did not match",
        ),
    ] {
        world.break_token(how).expect("written");
        let answer = exchange(&world, &[]).await;
        refused(&answer, status, error, code, text);
        assert!(!answer.body.contains("access_token"), "{how:?}");
    }
    world.rotate_token().expect("written");
    access_token(&exchange(&world, &[]).await);
}

#[tokio::test]
async fn a_credential_must_match_as_a_whole() {
    // The issuer of one and the subject of the other do not make a third.
    let world = with(TokenVersion::V1, |entra| {
        entra.applications[0].federated_credentials = vec![
            FederatedCredential {
                subject: Some("system:serviceaccount:other:other".into()),
                ..FederatedCredential::default()
            },
            FederatedCredential {
                issuer: Some("https://elsewhere.example/".into()),
                ..FederatedCredential::default()
            },
        ];
    })
    .await;
    let answer = exchange(&world, &[]).await;
    let subject = "subject 'system:serviceaccount:monitoring:prometheus'";
    refused(&answer, 401, "invalid_client", 700_213, subject);
    assert_eq!(
        world.journal(Target::Issuer).total(),
        0,
        "nobody was asked for keys"
    );
}

#[tokio::test]
async fn faults_and_an_issuer_that_is_down_show_where_they_should() {
    let world = world(TokenVersion::V2).await;
    world
        .faults(Target::Issuer)
        .set([Fault::new(FaultKind::answer(503, ""))]);
    refused(
        &exchange(&world, &[]).await,
        400,
        "invalid_request",
        50_166,
        "Request to External OIDC endpoint failed.",
    );
    world.faults(Target::Issuer).clear();
    world
        .faults(Target::Entra)
        .set([Fault::new(FaultKind::answer(429, "slowly")).times(1)]);
    let busy = exchange(&world, &[]).await;
    assert_eq!((busy.status, busy.body.as_str()), (429, "slowly"));
    let token = access_token(&exchange(&world, &[]).await);
    // AWS cannot read Entra's documents.
    world
        .faults(Target::Entra)
        .set([Fault::new(FaultKind::Reset).on_path("/.well-known/")]);
    let refused = assume(&world, &[("WebIdentityToken", &token)]).await;
    assert!(
        refused
            .element("Message")
            .contains("retrieve verification key")
    );
    assert_eq!(world.journal(Target::Entra).counts().faults["reset"], 1);
    assert_eq!(world.state()["entra_tokens_issued"], 1);
}

#[tokio::test]
async fn access_tokens_live_as_long_as_is_wanted() {
    let world = with(TokenVersion::V1, |entra| {
        entra.token_life = Duration::from_secs(600)
    })
    .await;
    let answer = exchange(&world, &[]).await;
    assert_eq!(answer.json()["expires_in"], 600);
    let token = access_token(&answer);
    world.clock().set_offset_seconds(700);
    let late = assume(&world, &[("WebIdentityToken", &token)]).await;
    assert_eq!(late.element("Code"), "ExpiredTokenException");
}

#[tokio::test]
async fn it_speaks_tls_and_the_environment_leads_to_it() {
    let world = with(TokenVersion::V1, |entra| entra.https = true).await;
    let authority = world.entra_url().expect("Entra");
    assert!(authority.starts_with("https://127.0.0.1:") && authority.ends_with('/'));
    let trust = world.certificates().client_config();
    handshake(address(authority), "127.0.0.1", trust)
        .await
        .expect("trusted");

    let environment = world.environment();
    let value = |name: &str| {
        let found = environment.iter().find(|(present, _)| *present == name);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(value("AZURE_AUTHORITY_HOST").as_deref(), Some(authority));
    assert_eq!(value("AMP_SIDECAR_TOKEN_SOURCE").as_deref(), Some("entra"));
    let file = world.token_file().display().to_string();
    assert_eq!(value("AZURE_FEDERATED_TOKEN_FILE"), Some(file));
    assert!(
        value("AMP_SIDECAR_ENTRA_SCOPE")
            .expect("set")
            .ends_with("/.default")
    );
    assert!(value("AZURE_CLIENT_ID").is_some() && value("AZURE_TENANT_ID").is_some());
    assert_eq!(value("AWS_WEB_IDENTITY_TOKEN_FILE"), None);
}

#[tokio::test]
async fn the_pods_own_token_is_of_no_use_to_aws() {
    let world = world(TokenVersion::V1).await;
    let direct = assume(&world, &[]).await;
    assert_eq!(direct.element("Message"), "Incorrect token audience");
    let nowhere = World::start(WorldConfig::default()).await.expect("a world");
    assert!(nowhere.entra().is_none() && nowhere.entra_url().is_none());
}
