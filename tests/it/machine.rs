//! The identity of a virtual machine: what its metadata server says reaches people, and nothing but that server is asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use emulator::entra::{EntraConfig, TokenVersion};
use emulator::fault::{Fault, FaultKind};
use emulator::machine::{GoogleVm, Machine};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;
use tokio::net::TcpListener;

use crate::bodies;
use crate::leak_check::{self, World};
use crate::rig::{self, Rig};

/// A listener that nobody is to connect to, and how many did.
async fn untouched() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&connections);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    (place, connections)
}

async fn stores_a_batch(rig: &Rig) {
    let batch = bodies::v1("up", 3);
    rig.write_until_stored(&batch, Duration::from_secs(10))
        .await;
    assert!(rig.has_stored(&batch));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_configured_source_of_the_token_is_asked() {
    for config in [
        WorldConfig::on_azure(TokenVersion::V1),
        WorldConfig::at_google(),
        WorldConfig::through_entra(EntraConfig::new(TokenVersion::V2)),
        WorldConfig::default(),
    ] {
        let world = World::start(config).await.unwrap();
        let (place, connections) = untouched().await;
        let url = format!("http://{place}/");
        let mut env: HashMap<&str, String> = [
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url),
            ("AZURE_AUTHORITY_HOST", &url),
            ("AZURE_CLIENT_ID", &String::new()),
            ("GCE_METADATA_HOST", &place),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url),
            ("HTTPS_PROXY", &url),
        ]
        .map(|(name, value)| (name, value.clone()))
        .into();
        env.extend(world.environment());
        let rig = Rig::serve(world, rig::config_of(&env, &[])).await;
        stores_a_batch(&rig).await;
        assert_eq!(connections.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_server_that_starts_is_asked_again_soon() {
    for (config, status) in [
        (WorldConfig::on_azure(TokenVersion::V1), 404),
        (WorldConfig::on_azure(TokenVersion::V1), 410),
    ] {
        let world = World::start(config).await.unwrap();
        let starting = Fault::new(FaultKind::answer(status, "")).times(2);
        world.faults(Target::Metadata).set([starting]);
        let rig = Rig::start_beside(world, &[]).await;
        stores_a_batch(&rig).await;
        let failed = r#"amp_sidecar_credential_exchanges_total{result="imds_unavailable"}"#;
        assert_eq!(rig.count(failed).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_and_chained_roles_go_together() {
    let config = WorldConfig::at_google().two_hops("tenant-7");
    let rig = Rig::start_in(config, &[]).await;
    stores_a_batch(&rig).await;
    assert_eq!(rig.world.sts_calls().len(), 3);
    let (_, status) = rig.admin("/status.json").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let identity = &status["workspaces"][0]["identity"];
    assert_eq!(identity["token_source"], "gce-metadata");
    assert_eq!(identity["token"]["issuer"], "https://accounts.google.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_do_is_said_where_it_fails() {
    let no_account = WorldConfig {
        machine: Some(Machine::Google(GoogleVm {
            service_account: None,
        })),
        ..WorldConfig::at_google()
    };
    let stranger = ("azure-client-id", "00000000-1111-4222-8333-444444444444");
    for (config, settings, label, words) in [
        (
            WorldConfig::on_azure(TokenVersion::V1),
            vec![stranger],
            "imds_no_identity",
            "az vm identity assign",
        ),
        (
            no_account,
            Vec::new(),
            "gce_no_service_account",
            "gcloud compute instances set-service-account",
        ),
    ] {
        let rig = Rig::start_in(config, &settings).await;
        let counted = format!(r#"amp_sidecar_credential_exchanges_total{{result="{label}"}}"#);
        for _ in 0..200 {
            if rig.find_count(&counted).await.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let (status, said) = rig.admin("/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(said.contains(words), "{said}");
        assert_eq!(rig.world.sts_calls().len(), 0);
    }
}

/// The token in a broken answer, and in the place of an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_machines_token_is_never_shown() {
    leak_check::libraries_too();
    for config in [
        WorldConfig::on_azure(TokenVersion::V2),
        WorldConfig::at_google(),
    ] {
        let rig = Rig::start_in(config, &[]).await;
        stores_a_batch(&rig).await;
        let secrets = rig.world.secrets();
        let token = secrets
            .iter()
            .find(|(what, _)| ["access token", "Google's token"].contains(what));
        let token = String::from_utf8(token.unwrap().1.clone()).unwrap();
        let flavor = vec![("metadata-flavor".to_owned(), "Google".to_owned())];
        for (status, body) in [
            (200, format!(r#"{{"access_token": "{token}", "#)),
            (200, format!("{token} and more")),
            (400, format!("not {token}")),
            (
                400,
                format!(r#"{{"error": "invalid", "error_description": "not {token}"}}"#),
            ),
        ] {
            let answer = FaultKind::Answer {
                status,
                headers: flavor.clone(),
                body,
            };
            rig.world.faults(Target::Metadata).set([Fault::new(answer)]);
            let report = crate::check::run(&rig.world, &[], None).await;
            assert!(!report.is_whole());
        }
        for path in ["/readyz", "/metrics", "/", "/status.json"] {
            rig.admin(path).await;
        }
    }
    assert!(leak_check::was_shown("TRACE"));
}
