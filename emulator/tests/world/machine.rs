//! The metadata servers of machines over the wire, and what STS makes of their tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emulator::entra::TokenVersion;
use emulator::machine::{AzureVm, GoogleVm, Machine, ServiceAccount};
use emulator::world::{World, WorldConfig};
use serde_json::{Value, json};

use crate::client::{Answer, assume, say, whole};

const IDENTITY: &str = "/computeMetadata/v1/instance/service-accounts/default/identity";

async fn get(world: &World, path: &str, header: &str) -> Answer {
    let at = world.metadata_address().expect("a metadata server");
    let text =
        format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n{header}\r\n\r\n");
    whole(&say(at, text, Duration::from_secs(20)).await.bytes)
}

async fn imds(world: &World, query: &str) -> Answer {
    let path = format!("/metadata/identity/oauth2/token?api-version=2018-02-01{query}");
    get(world, &path, "Metadata: true").await
}

fn resource(world: &World) -> String {
    let scope = world.entra().expect("Entra").config().scope.clone();
    format!("&resource={}", scope.trim_end_matches("/.default"))
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn a_managed_identitys_token_of_either_version_opens_the_role() {
    for version in [TokenVersion::V1, TokenVersion::V2] {
        let world = World::start(WorldConfig::on_azure(version))
            .await
            .expect("a world");
        let answer = imds(&world, &resource(&world)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let token = answer.json()["access_token"]
            .as_str()
            .expect("it")
            .to_owned();
        let (said, config) = (claims(&token), world.entra().expect("Entra").config());
        let [identity, aws] = config.applications.as_slice() else {
            panic!("two applications");
        };
        assert_eq!(said["sub"], json!(identity.service_principal));
        match version {
            TokenVersion::V1 => assert_eq!(said["aud"], json!(aws.id_uris[0])),
            TokenVersion::V2 => {
                let claims = (&said["azp"], &said["aud"]);
                assert_eq!(claims, (&json!(identity.client_id), &json!(aws.client_id)));
            }
        }
        let session = assume(&world, &[("WebIdentityToken", &token)]).await;
        assert_eq!(session.status, 200, "{}", session.body);
        // It is kept, and given again: numbers come as text.
        let again = imds(&world, &resource(&world)).await.json();
        assert_eq!(again["access_token"], json!(token));
        assert_eq!(again["expires_on"], json!(said["exp"].to_string()));
        world.clock().set_offset_seconds(13 * 3600);
        let later = imds(&world, &resource(&world)).await.json();
        assert_ne!(later["access_token"], json!(token));
    }
}

#[tokio::test]
async fn imds_says_no_in_the_words_that_users_report() {
    let config = WorldConfig::on_azure(TokenVersion::V1);
    let world = World::start(config.clone()).await.expect("a world");
    let resource = resource(&world);
    let path = format!("/metadata/identity/oauth2/token?api-version=2018-02-01{resource}");
    let stranger = format!("{resource}&client_id=00000000-0000-0000-0000-000000000000");
    let forwarded = "Metadata: true\r\nX-Forwarded-For: 203.0.113.9";
    for (answer, error, words) in [
        (
            get(&world, &path, "a: b").await,
            "invalid_request",
            "Required metadata header",
        ),
        (
            get(&world, &path, forwarded).await,
            "invalid_request",
            "Required metadata header",
        ),
        (
            imds(&world, "").await,
            "invalid_request",
            "parameter resource is missing",
        ),
        (
            imds(&world, &stranger).await,
            "invalid_request",
            "Identity not found",
        ),
        (
            imds(&world, "&resource=api://nobody").await,
            "invalid_resource",
            "AADSTS500011: The resource principal named api://nobody",
        ),
    ] {
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["error"]),
            (400, &json!(error)),
            "{body}"
        );
        let said = body["error_description"].as_str().expect("words");
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(
        get(&world, "/metadata/instance", "Metadata: true")
            .await
            .status,
        404
    );

    let own = config.entra.as_ref().expect("Entra").applications.clone();
    let all: Vec<String> = own.iter().map(|one| one.client_id.clone()).collect();
    for (identities, named, words) in [
        (Vec::new(), "", Some("Identity not found")),
        (
            all.clone(),
            "",
            Some("Multiple user assigned identities exist"),
        ),
        (all.clone(), &all[0], None),
    ] {
        let mut config = config.clone();
        config.machine = Some(Machine::Azure(AzureVm { identities }));
        let world = World::start(config).await.expect("a world");
        let named = match named {
            "" => String::new(),
            id => format!("&client_id={id}"),
        };
        let answer = imds(&world, &format!("{resource}{named}")).await;
        match words {
            Some(words) => assert!(answer.body.contains(words), "{}", answer.body),
            None => assert_eq!(answer.status, 200, "{}", answer.body),
        }
    }
}

#[tokio::test]
async fn googles_token_opens_a_role_that_trusts_its_account_without_a_provider() {
    let world = World::start(WorldConfig::at_google())
        .await
        .expect("a world");
    let path = format!("{IDENTITY}?audience=sts.amazonaws.com&format=full");
    let answer = get(&world, &path, "Metadata-Flavor: Google").await;
    assert_eq!(
        (answer.status, answer.header("metadata-flavor")),
        (200, Some("Google"))
    );
    let (token, said) = (answer.body.as_str(), claims(&answer.body));
    assert_eq!(said["iss"], json!("https://accounts.google.com"));
    assert_eq!(
        (&said["azp"], &said["aud"]),
        (&said["sub"], &json!("sts.amazonaws.com"))
    );
    assert!(said["google"]["compute_engine"]["instance_id"].is_string());
    let session = assume(&world, &[("WebIdentityToken", token)]).await;
    assert_eq!(session.status, 200, "{}", session.body);
    assert_eq!(session.element("Provider"), "accounts.google.com");
}

#[tokio::test]
async fn google_is_a_principal_by_its_name_and_its_audience_is_oaud() {
    let id = "107517467455664443765";
    let policy = |principal: &str, conditions: Value| {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": principal},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": conditions},
        }]})
        .to_string()
    };
    let (google, provider) = (
        "accounts.google.com",
        "arn:aws:iam::123456789012:oidc-provider/accounts.google.com",
    );
    let [aud, oaud] = ["aud", "oaud"].map(|claim| format!("{google}:{claim}"));
    for (policy, status) in [
        (
            policy(google, json!({&aud: id, &oaud: "sts.amazonaws.com"})),
            200,
        ),
        (policy(google, json!({&aud: "sts.amazonaws.com"})), 403),
        (policy(google, json!({&oaud: "another"})), 403),
        (policy(provider, json!({&aud: id})), 403),
    ] {
        let config = WorldConfig {
            trust_policy: Some(policy.clone()),
            ..WorldConfig::at_google()
        };
        let world = World::start(config).await.expect("a world");
        let path = format!("{IDENTITY}?audience=sts.amazonaws.com");
        let token = get(&world, &path, "Metadata-Flavor: Google").await.body;
        let session = assume(&world, &[("WebIdentityToken", &token)]).await;
        assert_eq!(session.status, status, "{policy}: {}", session.body);
    }
}

#[tokio::test]
async fn googles_server_says_no_by_its_status() {
    let config = |service_account: Option<ServiceAccount>| WorldConfig {
        machine: Some(Machine::Google(GoogleVm { service_account })),
        ..WorldConfig::at_google()
    };
    let full = GoogleVm::default().service_account.expect("an account");
    let mute = ServiceAccount {
        may_give_tokens: false,
        ..full.clone()
    };
    let flavor = "Metadata-Flavor: Google";
    let asked = format!("{IDENTITY}?audience=a");
    for (account, path, header, status) in [
        (Some(full.clone()), asked.as_str(), "a: b", 403),
        (Some(full), IDENTITY, flavor, 400),
        (Some(mute), &asked, flavor, 403),
        (None, &asked, flavor, 404),
    ] {
        let world = World::start(config(account)).await.expect("a world");
        let answer = get(&world, path, header).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
}
