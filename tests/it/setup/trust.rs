//! The printed trust policy, evaluated by an STS like IAM's.

use std::time::Duration;

use emulator::anywhere::AnywhereConfig;
use emulator::container::Platform;
use emulator::issuer::TokenSpec;
use emulator::machine::{GoogleVm, Machine};
use emulator::world::{Ports, WorldConfig};
use serde_json::Value;
use testbench::peers::free_ports;

use super::{ANYWHERE, EKS, GOOGLE, OBJECT, PLACE, TENANT, entra, printed, trust_policy};
use crate::bodies;
use crate::leak_check::World;
use crate::rig::Rig;

fn world_with(issuer: u16, trust_policy: Option<String>, token: TokenSpec) -> WorldConfig {
    WorldConfig {
        issuer_https: true,
        trust_policy,
        token,
        ports: Ports {
            issuer,
            ..Ports::default()
        },
        ..WorldConfig::default()
    }
}

/// The last world's listener closes a moment after the world is dropped.
async fn world_at_same_port(config: impl Fn() -> WorldConfig) -> World {
    for _ in 0..50 {
        match World::start(config()).await {
            Err(emulator::world::Error::Bind { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            world => return world.unwrap(),
        }
    }
    World::start(config()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_passes_by_the_printed_trust_policy_and_anothers_does_not() {
    let good = WorldConfig::default().token;
    // The policy needs the issuer's address.
    let [place] = free_ports().unwrap();
    let port = place.port();
    let first = World::start(world_with(port, None, good.clone()))
        .await
        .unwrap();
    let issuer = first.issuer_url().to_owned();
    drop(first);
    let script = printed(&[&["aws", "--issuer", &issuer], &PLACE]);
    let policy = trust_policy(&script);

    let others = [
        TokenSpec {
            service_account: "default".into(),
            ..good.clone()
        },
        TokenSpec {
            namespace: "default".into(),
            ..good.clone()
        },
    ];
    for (token, passes) in [(good, true)]
        .into_iter()
        .chain(others.map(|token| (token, false)))
    {
        let world =
            world_at_same_port(|| world_with(port, Some(policy.clone()), token.clone())).await;
        assert_eq!(world.issuer_url(), issuer);
        let rig = Rig::start_beside(world, &[]).await;
        if passes {
            rig.until_ready().await;
            assert_eq!(rig.write(&bodies::v1("up", 1)).await, 200);
            continue;
        }
        for _ in 0..400 {
            if !rig.world.sts_calls().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (status, words) = rig.admin("/readyz").await;
        assert!(
            status == 503 && words.contains("AccessDenied"),
            "{status} {words}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_token_passes_by_the_printed_policy_for_its_account_and_audience_alone() {
    for format in ["cli", "cloudformation", "terraform"] {
        let script = printed(&[&["aws", "--format", format], &GOOGLE, &PLACE]);
        let provider = ["open-id-connect", "OIDCProvider", "oidc-provider"];
        assert!(
            !provider.iter().any(|words| script.contains(words)),
            "{script}"
        );
    }
    let script = printed(&[&["aws"], &GOOGLE, &PLACE]);
    let another = GOOGLE.map(|one| one.replace("107517467455664443765", "107517467455664443766"));
    let another = another.each_ref().map(String::as_str);
    let another = printed(&[&["aws"], &another, &PLACE]);
    let elsewhere = printed(&[&["aws", "--token-audience", "vault"], &GOOGLE, &PLACE]);
    for (script, passes) in [(script, true), (another, false), (elsewhere, false)] {
        let config = WorldConfig {
            trust_policy: Some(trust_policy(&script)),
            machine: Some(Machine::Google(GoogleVm::default())),
            ..WorldConfig::default()
        };
        let world = World::start(config).await.unwrap();
        let report = crate::check::run(&world, &[], None).await;
        assert_eq!(report.is_whole(), passes, "{}", report.text(false));
        // What `check` offers to paste instead is the policy that passes.
        let pasted = crate::check::named(&report, "trust-subject");
        let pasted = pasted.and_then(|step| step.outcome.paste.clone());
        if let Some(pasted) = pasted {
            let pasted: Value = serde_json::from_str(&pasted).unwrap();
            let good = printed(&[&["aws"], &GOOGLE, &PLACE]);
            let good: Value = serde_json::from_str(&trust_policy(&good)).unwrap();
            assert_eq!(pasted, good);
        } else {
            assert!(passes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_the_cluster_passes_by_the_printed_policy_and_anothers_does_not() {
    let script = printed(&[&["aws"], &EKS, &PLACE]);
    let another = ["--namespace", "default"];
    let elsewhere = EKS.map(|one| one.replace("emulated", "another"));
    let elsewhere = elsewhere.each_ref().map(String::as_str);
    for (script, passes) in [
        (script, true),
        (printed(&[&["aws"], &EKS, &PLACE, &another]), false),
        (printed(&[&["aws"], &elsewhere, &PLACE]), false),
    ] {
        let config = WorldConfig {
            trust_policy: Some(trust_policy(&script)),
            ..WorldConfig::in_container(Platform::PodIdentity)
        };
        let world = World::start(config).await.unwrap();
        let report = crate::check::run(&world, &[], None).await;
        let text = report.text(false);
        assert_eq!(report.is_whole(), passes, "{text}");
        let named = crate::check::named(&report, "pod-identity-trust").is_some();
        assert_eq!(named, !passes, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_passes_by_the_printed_policy_for_its_name_alone() {
    let another = ["--common-name", "another"];
    for (script, passes) in [
        (printed(&[&["aws"], &ANYWHERE, &PLACE]), true),
        (printed(&[&["aws"], &ANYWHERE, &PLACE, &another]), false),
    ] {
        let policy = trust_policy(&script);
        assert!(policy.contains("\"TRUST-ANCHOR-ARN\""), "{policy}");
        let config = WorldConfig {
            trust_policy: Some(policy.replace("TRUST-ANCHOR-ARN", "${ANCHOR}")),
            ..WorldConfig::through_roles_anywhere(AnywhereConfig::default())
        };
        let world = World::start(config).await.unwrap();
        let report = crate::check::run(&world, &[], None).await;
        let text = report.text(false);
        assert_eq!(report.is_whole(), passes, "{text}");
        let named = crate::check::named(&report, "roles-anywhere-trust").is_some();
        assert_eq!(named, !passes, "{text}");
    }
}

/// What `check` prints to paste lets the certificate in.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_that_is_pasted_lets_the_certificate_in() {
    let config = |policy: String| WorldConfig {
        trust_policy: Some(policy),
        ..WorldConfig::through_roles_anywhere(AnywhereConfig::default())
    };
    let closed = r#"{"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
    let world = World::start(config(closed.to_owned())).await.unwrap();
    let report = crate::check::run(&world, &[], None).await;
    let step = report
        .steps
        .iter()
        .find(|step| step.step == "CreateSession");
    let pasted = step.unwrap().outcome.paste.clone().unwrap();
    let anchor = world.anywhere().unwrap().trust_anchor_arn();
    assert!(pasted.contains(&anchor), "{pasted}");
    let world = World::start(config(pasted)).await.unwrap();
    let report = crate::check::run(&world, &[], None).await;
    assert!(report.is_whole(), "{}", report.text(false));
}

#[test]
fn entras_tokens_are_trusted_by_their_version() {
    let v1 = printed(&[&["aws"], &entra("--object-id"), &PLACE]);
    let v2 = printed(&[
        &[
            "aws",
            "--access-token-version",
            "2",
            "--client-id",
            "11111111-7f0e-4d53-b1c8-3e2a7b6f5c41",
        ],
        &entra("--object-id"),
        &PLACE,
    ]);
    for (script, issuer, audience) in [
        (
            v1,
            format!("sts.windows.net/{TENANT}/"),
            format!("api://{TENANT}/amp-sidecar"),
        ),
        (
            v2,
            format!("login.microsoftonline.com/{TENANT}/v2.0"),
            "11111111-7f0e-4d53-b1c8-3e2a7b6f5c41".to_owned(),
        ),
    ] {
        assert!(
            script.contains(&format!("issuer='https://{issuer}'")),
            "{script}"
        );
        let policy: Value = serde_json::from_str(&trust_policy(&script)).unwrap();
        let equal = &policy["Statement"][0]["Condition"]["StringEquals"];
        assert_eq!(equal[format!("{issuer}:sub")], OBJECT);
        assert_eq!(equal[format!("{issuer}:aud")], audience);
    }
}
