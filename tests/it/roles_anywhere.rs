//! Credentials for a certificate: the example of docs/identities.md, renewal, refusals, and that nothing else is asked.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use emulator::anywhere::{AnywhereConfig, AnywhereRefusal, LeafKey, LeafSpec};
use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;
use tokio::net::TcpListener;

use crate::bodies;
use crate::given_credentials::ours;
use crate::identities::{complaint, run_example};
use crate::leak_check::{self, World};
use crate::rig::{Rig, config_of};
use crate::sts_impostor::{capture, judge};

fn with(key: LeafKey) -> WorldConfig {
    WorldConfig::through_roles_anywhere(AnywhereConfig {
        leaf: LeafSpec {
            key,
            ..LeafSpec::default()
        },
        ..AnywhereConfig::default()
    })
}

async fn world() -> World {
    World::start(with(LeafKey::EcdsaP256)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_enough_with_keys_of_both_kinds() {
    for (key, algorithm) in [(LeafKey::EcdsaP256, "ECDSA"), (LeafKey::Rsa, "RSA")] {
        let rig = run_example("roles-anywhere", World::start(with(key)).await.unwrap()).await;
        let anywhere = rig.world.anywhere().unwrap();
        let calls = anywhere.calls().all();
        assert_eq!((calls.len(), anywhere.calls().refused()), (1, 0), "{key:?}");
        let start = format!("AWS4-X509-{algorithm}-SHA256 ");
        assert!(calls[0].signed.starts_with(&start), "{}", calls[0].signed);
        assert_eq!(
            (calls[0].session_name.as_ref(), calls[0].duration_seconds),
            (None, Some(3600))
        );
        let (_, page) = rig.admin("/status.json").await;
        let status: serde_json::Value = serde_json::from_str(&page).unwrap();
        let certificate = &status["workspaces"][0]["identity"]["certificate"];
        assert_eq!(certificate["subject"], "CN=amp-sidecar", "{certificate}");
        assert!(certificate["expires"]["in_seconds"].as_f64().unwrap() > 7_000_000.0);
    }
}

/// OpenSSL verifies it by what AWS documents; the emulator's own verifier is of the same hand as the signer.
#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_verifies_the_signature() {
    const JUDGE: &str = include_str!("anywhere_signature.py");
    let world = world().await;
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/roles-anywhere/");
    for (chain, key, algorithm, has_chain) in [
        (&["rsa.pem"][..], "rsa-pkcs8.key", "RSA", false),
        (&["ec.pem"], "ec-pkcs8.key", "ECDSA", false),
        (
            &["ec.pem", "intermediate.pem", "ca.pem"],
            "ec-sec1.key",
            "ECDSA",
            true,
        ),
    ] {
        let file = world.folder().join(format!("{algorithm}-{has_chain}.crt"));
        let pem = chain
            .iter()
            .map(|name| std::fs::read_to_string(format!("{data}{name}")).unwrap());
        std::fs::write(&file, pem.collect::<String>()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut env: HashMap<_, _> = world.environment().into_iter().collect();
        for (name, value) in [
            (
                "AMP_SIDECAR_ROLES_ANYWHERE_CERTIFICATE",
                file.display().to_string(),
            ),
            (
                "AMP_SIDECAR_ROLES_ANYWHERE_PRIVATE_KEY",
                format!("{data}{key}"),
            ),
            ("AWS_ENDPOINT_URL_ROLESANYWHERE", endpoint),
        ] {
            env.insert(name, value);
        }
        let captured = tokio::spawn(capture(listener));
        ours(&env).await.unwrap_err();
        let request = captured.await.unwrap();
        assert!(
            request.contains(&format!("AWS4-X509-{algorithm}-SHA256 ")),
            "{request}"
        );
        assert_eq!(request.contains("x-amz-x509-chain: "), has_chain);
        assert_eq!(judge(JUDGE, &[], request.as_bytes()), "", "{request}");

        // It notices what was changed on the way.
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        for changed in [
            format!("{head}\r\n\r\n{}", body.replace("3600", "3601")),
            request.replacen("POST /sessions ", "POST /other ", 1),
            request.replacen("application/json", "application/xml", 1),
        ] {
            assert_ne!(changed, request);
            let found = judge(JUDGE, &[], changed.as_bytes());
            assert_eq!(found, "the signature does not fit");
        }
    }
}

/// The certificate is read at each exchange.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used() {
    let config = WorldConfig {
        session_life: Some(Duration::from_secs(4)),
        ..with(LeafKey::EcdsaP256)
    };
    let rig = Rig::start_in(config, &[]).await;
    rig.until_ready().await;
    let anywhere = rig.world.anywhere().unwrap();
    for n in 0..4 {
        anywhere.renew().unwrap();
        let batch = bodies::v1(&format!("up_{n}"), 3);
        assert_eq!(rig.write(&batch).await, StatusCode::OK);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let calls = anywhere.calls().all();
    let signed: HashSet<_> = calls.iter().map(|call| &call.signed).collect();
    assert!(
        calls.len() >= 2 && signed.len() == calls.len(),
        "{signed:?}"
    );
    assert_eq!(anywhere.calls().refused(), 0);
}

/// After a refusal another attempt does not wait for its turn if there is another certificate.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_certificate_ends_the_trouble_with_a_bad_one() {
    let world = world().await;
    let anywhere = world.anywhere().unwrap().clone();
    anywhere.replace(|leaf| leaf.stranger = true).unwrap();
    let rig = Rig::start_beside(world, &[]).await;
    complaint(&rig).await;
    let refused =
        r#"amp_sidecar_credential_exchanges_total{result="anywhere_AccessDeniedException"}"#;
    assert!(rig.count(refused).await >= 1);
    anywhere.replace(|leaf| leaf.stranger = false).unwrap();
    rig.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_after_its_certificate_is_waited_for() {
    let world = world().await;
    let anywhere = world.anywhere().unwrap();
    let folder = world.folder().join("plain");
    std::fs::create_dir(&folder).unwrap();
    let of = || anywhere.issue(&LeafSpec::default()).unwrap();
    let (old, new) = (of(), of());
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    std::fs::write(&certificate, &new.chain).unwrap();
    std::fs::write(&key, &old.key).unwrap();
    let path = |file: &std::path::Path| file.display().to_string();
    let settings = [
        ("roles-anywhere-certificate", path(&certificate)),
        ("roles-anywhere-private-key", path(&key)),
    ];
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, path)| (*name, path.as_str()))
        .collect();
    let rig = Rig::start_beside(world, &settings).await;
    let said = complaint(&rig).await;
    assert!(said.contains("is not that of the certificate in"), "{said}");
    assert_eq!(
        rig.world.anywhere().unwrap().calls().all().len(),
        0,
        "it was sent"
    );
    std::fs::write(&key, &new.key).unwrap();
    rig.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_aws_must_hold() {
    type Case = (fn(&mut LeafSpec), &'static str, &'static str);
    let cases: [Case; 3] = [
        (
            |leaf| leaf.stranger = true,
            "Untrusted Signing Certificate",
            "must hold the CA CN=amp-sidecar emulator strangers, intermediate",
        ),
        (
            |leaf| leaf.common_name = "another".to_owned(),
            "Unable to assume role",
            "x509Subject/CN is \"another\"",
        ),
        (
            |leaf| {
                leaf.valid_since = time::Duration::days(2);
                leaf.life = time::Duration::days(-1);
            },
            "Untrusted Signing Certificate",
            "the certificate ended 8640",
        ),
    ];
    for (change, message, advice) in cases {
        let world = world().await;
        world.anywhere().unwrap().replace(change).unwrap();
        let rig = Rig::start_beside(world, &[]).await;
        let said = complaint(&rig).await;
        let start =
            format!("Roles Anywhere refused (403 Forbidden, AccessDeniedException): {message}");
        assert!(
            said.contains(&start) && said.contains(advice),
            "{advice}: {said}"
        );
    }
}

/// One source is configured, so nothing else is asked, whatever lies around, and whether it works or not.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_roles_anywhere_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = format!("http://{}/", listener.local_addr().unwrap());
    for works in [true, false] {
        let world = world().await;
        if !works {
            let refusal = AnywhereRefusal::InsufficientCertificate.fault();
            world
                .faults(Target::RolesAnywhere)
                .set([Fault::new(refusal)]);
        }
        let mut env: std::collections::HashMap<_, _> = world.environment().into_iter().collect();
        let token = world.token_file().display().to_string();
        let more = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &elsewhere),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &elsewhere),
            ("AZURE_AUTHORITY_HOST", &elsewhere),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "planted"),
        ];
        env.extend(more.map(|(name, value)| (name, value.to_owned())));
        let rig = Rig::serve(world, config_of(&env, &[])).await;
        if works {
            rig.write_until_stored(&bodies::v1("up", 3), Duration::from_secs(10))
                .await;
        } else {
            complaint(&rig).await;
        }
        assert_eq!(rig.world.journal(Target::Sts).total(), 0);
        assert!(rig.world.journal(Target::RolesAnywhere).total() >= 1);
    }
    let asked = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(asked.is_err(), "something else was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_goes_on_from_there_with_what_narrows_its_last_session() {
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "aps:RemoteWrite", "Resource": "*"}]}"#;
    let config = with(LeafKey::EcdsaP256).two_hops("tenant-7");
    let settings = [("session-policy", policy), ("session-tag", "team=obs")];
    let rig = Rig::start_in(config, &settings).await;
    rig.write_until_stored(&bodies::v1("up", 3), Duration::from_secs(10))
        .await;
    let calls = rig.world.sts_calls();
    let actions: Vec<&str> = calls.iter().map(|call| call.action.as_str()).collect();
    assert_eq!(actions, ["AssumeRole", "AssumeRole"]);
    let session = calls[1].outcome.as_ref().unwrap();
    let context = rig.world.sessions().find(session).unwrap().context;
    assert!(context.policy.is_some() && context.tags["team"] == "obs");
    assert_eq!(context.source_identity.as_deref(), Some("amp-sidecar"));
    assert_eq!(
        rig.world.anywhere().unwrap().calls().all()[0].duration_seconds,
        Some(900)
    );
}

/// The keys never leave their files, at any level of the log, whatever Roles Anywhere answers.
#[tokio::test(flavor = "multi_thread")]
async fn private_keys_are_never_shown() {
    leak_check::libraries_too();
    for key in [LeafKey::EcdsaP256, LeafKey::Rsa] {
        let world = World::start(with(key)).await.unwrap();
        let secrets = world.secrets();
        assert!(
            secrets
                .iter()
                .any(|(what, _)| *what == "line of a private key")
        );
        let anywhere = world.anywhere().unwrap();
        let pem = std::fs::read_to_string(anywhere.key_file()).unwrap();
        // A certificate's file that holds the key, too.
        let chain = std::fs::read_to_string(anywhere.certificate_file()).unwrap();
        anywhere.publish(&format!("{pem}{chain}"), &pem).unwrap();
        let rig = Rig::start_beside(world, &[]).await;
        rig.until_ready().await;
        let fault = FaultKind::answer(403, r#"{"message": "Invalid signature"}"#);
        rig.world
            .faults(Target::RolesAnywhere)
            .set([Fault::new(fault)]);
        rig.world.anywhere().unwrap().publish(&pem, &pem).unwrap();
        for path in ["/readyz", "/metrics", "/", "/status.json"] {
            rig.admin(path).await;
        }
    }
    assert!(leak_check::was_shown("TRACE") && leak_check::was_shown("credentials refreshed"));
}
