//! Every way from the projected token to credentials, with the settings in docs/identities.md.

use std::collections::HashMap;
use std::time::Duration;

use emulator::container::Platform;
use emulator::credentials_file::GivenKeys;
use emulator::entra::{EntraConfig, TokenVersion};
use emulator::fault::{Fault, FaultKind};
use emulator::issuer::BrokenToken;
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;

use crate::bodies;
use crate::leak_check::World;
use crate::rig::{Rig, V1, config_of, text};

const DOCUMENT: &str = include_str!("../../docs/identities.md");

/// The settings of an example, unchanged.
fn example(name: &str) -> Vec<(&'static str, &'static str)> {
    let marker = format!("<!-- run by a test: {name} -->\n```sh\n");
    let (_, rest) = DOCUMENT.split_once(&marker).unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    block
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

/// A sidecar with the example's settings, plus endpoints; ids, ARNs, paths and tenant of this world replace the example's.
pub async fn run_example(name: &str, world: World) -> Rig {
    let own: HashMap<&str, String> = world.environment().into_iter().collect();
    let mut settings: HashMap<&str, String> = example(name)
        .into_iter()
        .map(|(name, value)| (name, own.get(name).cloned().unwrap_or(value.to_owned())))
        .collect();
    for endpoint in [
        "AWS_ENDPOINT_URL_STS",
        "AWS_ENDPOINT_URL_ROLESANYWHERE",
        "AMP_SIDECAR_REMOTE_WRITE_URL",
        "AWS_CA_BUNDLE",
    ] {
        settings.extend(own.get(endpoint).map(|url| (endpoint, url.clone())));
    }
    for endpoint in ["AZURE_POD_IDENTITY_AUTHORITY_HOST", "GCE_METADATA_HOST"] {
        settings.extend(own.get(endpoint).map(|place| (endpoint, place.clone())));
    }
    let rig = Rig::serve(world, config_of(&settings, &[])).await;
    let batch = bodies::v1("up", 3);
    rig.until_ready().await;
    rig.write_until_stored(&batch, Duration::from_secs(10))
        .await;
    assert!(rig.has_stored(&batch), "{name}");
    rig
}

async fn through_entra(version: TokenVersion) -> World {
    World::start(WorldConfig::through_entra(EntraConfig::new(version)))
        .await
        .unwrap()
}

/// The text of `/readyz` once an exchange has failed.
pub async fn complaint(rig: &Rig) -> String {
    for _ in 0..200 {
        let (status, words) = rig.admin("/readyz").await;
        if status == StatusCode::SERVICE_UNAVAILABLE && !words.contains("waiting") {
            return words;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("nothing was said within 5 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_direct_way_is_enough() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    run_example("direct", world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_without_a_token_exchange_are_enough() {
    for (name, config) in [
        (
            "container",
            WorldConfig::in_container(Platform::PodIdentity),
        ),
        ("file", WorldConfig::with_keys(GivenKeys::File)),
        ("static", WorldConfig::with_keys(GivenKeys::Static)),
    ] {
        let world = World::start(config).await.unwrap();
        let rig = run_example(name, world).await;
        assert_eq!(rig.world.sts_calls().len(), 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_through_entra_with_tokens_of_both_versions() {
    for version in [TokenVersion::V1, TokenVersion::V2] {
        let rig = run_example("entra", through_entra(version).await).await;
        let entra = rig.world.entra().unwrap();
        assert_eq!(
            (entra.calls().issued(), entra.calls().refused()),
            (1, 0),
            "{version:?}"
        );
        assert_eq!(rig.world.sts_calls().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_machines_are_enough() {
    for (name, config) in [
        ("azure-imds", WorldConfig::on_azure(TokenVersion::V1)),
        ("azure-imds", WorldConfig::on_azure(TokenVersion::V2)),
        ("gce-metadata", WorldConfig::at_google()),
    ] {
        let rig = run_example(name, World::start(config).await.unwrap()).await;
        assert_eq!(rig.world.journal(Target::Metadata).total(), 1, "{name}");
        assert_eq!(rig.world.sts_calls().len(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_through_entra_is_renewed_in_time_and_survives_its_outage() {
    let config = WorldConfig {
        session_life: Some(Duration::from_secs(8)),
        ..WorldConfig::through_entra(EntraConfig::new(TokenVersion::V2))
    };
    let rig = Rig::start_in(config, &[]).await;
    rig.until_ready().await;
    let outage = FaultKind::answer(503, "");
    rig.world
        .faults(Target::Entra)
        .set([Fault::new(outage).lasting(Duration::from_secs(5))]);
    for n in 0..60 {
        assert_eq!(
            rig.write(&bodies::v1(&format!("up_{n}"), 3)).await,
            StatusCode::OK
        );
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let failed = r#"amp_sidecar_credential_exchanges_total{result="entra_unusable_answer"}"#;
    assert!(rig.count(failed).await >= 1);
    assert!(rig.world.entra().unwrap().calls().issued() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_entra_is_reported_by_its_code_with_the_remedy() {
    for (how, label, words) in [
        (
            BrokenToken::WrongIssuer,
            "entra_AADSTS700211",
            "including a trailing slash",
        ),
        (
            BrokenToken::WrongAudience,
            "entra_AADSTS700212",
            "api://AzureADTokenExchange",
        ),
        (
            BrokenToken::WrongSubject,
            "entra_AADSTS700213",
            "system:serviceaccount:NAMESPACE:NAME",
        ),
        (
            BrokenToken::Expired,
            "entra_AADSTS700024",
            "that it expired",
        ),
        (
            BrokenToken::BadSignature,
            "entra_AADSTS700027",
            "a key that its issuer publishes",
        ),
    ] {
        let world = through_entra(TokenVersion::V2).await;
        world.break_token(how).unwrap();
        let rig = Rig::start_beside(world, &[]).await;
        let said = complaint(&rig).await;
        let code = label.trim_start_matches("entra_");
        assert!(
            said.contains("Entra refused (401") && said.contains(code) && said.contains(words),
            "{how:?}: {said}"
        );
        assert!(
            said.contains("trace id ") && said.contains("correlation id "),
            "{said}"
        );
        let counted = format!(r#"amp_sidecar_credential_exchanges_total{{result="{label}"}}"#);
        assert!(rig.count(&counted).await >= 1, "{label}");
        assert_eq!(
            rig.world.sts_calls().len(),
            0,
            "STS was asked without a token"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entra_that_answers_nonsense_or_not_at_all_is_named() {
    for (fault, words) in [
        (
            FaultKind::Garbage("nonsense".into()),
            "Entra could not be reached",
        ),
        (FaultKind::answer(200, "{}"), "it has no access_token"),
        (
            FaultKind::answer(200, r#"{"access_token": "opaque"}"#),
            "not a JSON web token, which AWS requires",
        ),
        (
            FaultKind::answer(302, ""),
            "the response of Entra (302 Found)",
        ),
    ] {
        let world = through_entra(TokenVersion::V1).await;
        world.faults(Target::Entra).set([Fault::new(fault)]);
        let rig = Rig::start_beside(world, &[]).await;
        let said = complaint(&rig).await;
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_sts_says_what_aws_must_hold() {
    for (how, words) in [
        (
            BrokenToken::WrongAudience,
            "project one of its own with audience: sts.amazonaws.com",
        ),
        (
            BrokenToken::WrongSubject,
            "its trust policy must allow sts:AssumeRoleWithWebIdentity",
        ),
        (
            BrokenToken::WrongIssuer,
            "needs an IAM OIDC provider whose URL is exactly the token's iss",
        ),
        (BrokenToken::Expired, "by its own exp"),
    ] {
        let world = World::start(WorldConfig::default()).await.unwrap();
        world.break_token(how).unwrap();
        let rig = Rig::start_beside(world, &[]).await;
        let said = complaint(&rig).await;
        assert!(said.contains(words), "{how:?}: {said}");
        assert_eq!(
            rig.world.sts_calls().len(),
            1,
            "STS is asked, since our clock may be wrong"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_through_two_hops_of_which_one_asks_for_an_external_id() {
    let world = World::start(WorldConfig::default().two_hops("tenant-7"))
        .await
        .unwrap();
    let rig = run_example("chained", world).await;
    let calls = rig.world.sts_calls();
    let actions: Vec<&str> = calls.iter().map(|call| call.action.as_str()).collect();
    assert_eq!(
        actions,
        ["AssumeRoleWithWebIdentity", "AssumeRole", "AssumeRole"]
    );
    let seconds: Vec<_> = calls
        .iter()
        .map(|call| call.duration_seconds.as_deref().unwrap())
        .collect();
    assert_eq!(seconds, ["900", "900", "3600"]);
    assert_eq!(
        (
            calls[1].external_id.as_deref(),
            calls[2].external_id.as_deref()
        ),
        (None, Some("tenant-7"))
    );
    let chain = rig.world.chain();
    assert_eq!(calls[2].role_arn.as_deref(), Some(chain[1].arn.as_str()));
    let by = calls[2].caller.as_deref().unwrap();
    assert!(by.contains(":assumed-role/hub/"), "{by}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entra_and_chained_roles_go_together() {
    let entra = EntraConfig::new(TokenVersion::V2);
    let config = WorldConfig::through_entra(entra).two_hops("tenant-7");
    let rig = Rig::start_in(config, &[]).await;
    let batch = bodies::v1("up", 3);
    rig.write_until_stored(&batch, Duration::from_secs(10))
        .await;
    assert_eq!(rig.world.entra().unwrap().calls().issued(), 1);
    assert_eq!(rig.world.sts_calls().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_narrows_and_names_a_session_reaches_the_one_that_signs() {
    let world = World::start(WorldConfig::default().two_hops("tenant-7"))
        .await
        .unwrap();
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "aps:RemoteWrite", "Resource": "*"}]}"#;
    let settings = [
        ("session-policy", policy),
        (
            "session-policy-arn",
            "arn:aws:iam::aws:policy/AmazonPrometheusRemoteWriteAccess",
        ),
        ("source-identity", "aks@prod"),
        ("session-tag", "team=obs env=prod"),
    ];
    let rig = Rig::start_beside(world, &settings).await;
    let batch = bodies::v1("up", 3);
    rig.write_until_stored(&batch, Duration::from_secs(10))
        .await;
    let calls = rig.world.sts_calls();
    let key = calls[2].outcome.as_ref().unwrap();
    let context = rig.world.sessions().find(key).unwrap().context;
    assert!(context.policy.is_some());
    assert_eq!(context.source_identity.as_deref(), Some("aks@prod"));
    assert_eq!(context.tags.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_policy_without_the_action_is_amps_refusal() {
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "aps:QueryMetrics", "Resource": "*"}]}"#;
    let rig = Rig::start_in(WorldConfig::default(), &[("session-policy", policy)]).await;
    rig.until_ready().await;
    let answer = rig
        .post("/api/v1/write", V1, bodies::v1("up", 3).body)
        .await;
    let said = text(answer).await;
    assert!(said.contains("aps:RemoteWrite"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_hop_is_named_with_what_both_roles_need() {
    let world = World::start(WorldConfig::default().two_hops("tenant-7"))
        .await
        .unwrap();
    let (hub, writer) = (world.chain()[0].arn.clone(), world.chain()[1].arn.clone());
    let without_id = format!("{hub} {writer}");
    let rig = Rig::start_beside(world, &[("assume-role", &without_id)]).await;
    let said = complaint(&rig).await;
    for words in [
        format!("hop 2 of 2, {writer}: STS refused (403 Forbidden, AccessDenied)"),
        format!("the trust policy of {writer} must allow sts:AssumeRole to {hub}"),
        format!("a policy of {hub} must allow sts:AssumeRole on {writer}"),
        "none is given here (external-id=)".to_owned(),
    ] {
        assert!(said.contains(&words), "{words}: {said}");
    }
    let counted = r#"amp_sidecar_credential_exchanges_total{result="hop_AccessDenied"}"#;
    assert!(rig.count(counted).await >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_renewed_whole_and_its_outage_survived() {
    let config = WorldConfig {
        session_life: Some(Duration::from_secs(8)),
        ..WorldConfig::default().two_hops("tenant-7")
    };
    let rig = Rig::start_in(config, &[]).await;
    rig.until_ready().await;
    let second = Fault::new(FaultKind::answer(503, "")).on_body("Action=AssumeRole&");
    rig.world
        .faults(Target::Sts)
        .set([second.lasting(Duration::from_secs(5))]);
    for n in 0..60 {
        assert_eq!(
            rig.write(&bodies::v1(&format!("up_{n}"), 3)).await,
            StatusCode::OK
        );
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let failed = r#"amp_sidecar_credential_exchanges_total{result="hop_unusable_answer"}"#;
    assert!(rig.count(failed).await >= 1);
    let renewed = r#"amp_sidecar_credential_exchanges_total{result="ok"}"#;
    assert!(rig.count(renewed).await >= 2);
    assert_eq!(rig.world.journal(Target::Sts).counts().max_in_flight, 1);
}
