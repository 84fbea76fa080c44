//! The `--ca-bundle` file: one invalid certificate in it, and its rotation under a running sidecar.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use emulator::world::WorldConfig;
use rcgen::{CertificateParams, KeyPair};
use reqwest::StatusCode;
use serde_json::Value;

use crate::bodies;
use crate::leak_check::{World, was_shown};
use crate::rig::Rig;

const BAD: &str = "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n";

fn another_root() -> String {
    let params = CertificateParams::new(Vec::new()).unwrap();
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
}

/// Like kubelet with a ConfigMap: a new folder, and a link above it that is swapped by a rename.
fn project(volume: &Path, version: &str, pem: &str) {
    let folder = volume.join(version);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ca.pem"), pem).unwrap();
    symlink(version, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
}

/// Waits until the page shows an incident of this kind, open or over.
async fn until_fault(rig: &Rig, ended: bool) {
    for _ in 0..200 {
        let status: Value = serde_json::from_str(&rig.admin("/status.json").await.1).unwrap();
        let faults = status["incidents"].as_array().unwrap();
        let ours = faults.iter().find(|fault| fault["kind"] == "ca_bundle");
        if ours.is_some_and(|fault| fault["ended"].is_null() != ended) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!(
        "no such fault within 10 s: {}",
        rig.admin("/status.json").await.1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_read_again_when_kubelet_swaps_it_and_an_unreadable_one_changes_nothing() {
    let config = WorldConfig {
        sts_https: true,
        ..WorldConfig::default()
    };
    let world = World::start(config).await.unwrap();
    let authority = fs::read_to_string(world.ca_file()).unwrap();
    let volume = world.folder().join("bundle");
    fs::create_dir(&volume).unwrap();
    project(&volume, "..first", &another_root());
    symlink("..data/ca.pem", volume.join("ca.pem")).unwrap();
    let bundle = volume.join("ca.pem").display().to_string();
    let rig = Rig::start_beside(world, &[("ca-bundle", &bundle)]).await;
    let batch = bodies::v1("up", 3);
    assert_eq!(rig.write(&batch).await, StatusCode::SERVICE_UNAVAILABLE);
    let (_, readiness) = rig.admin("/readyz").await;
    let words =
        "STS could not be reached: TLS with 127.0.0.1: invalid peer certificate: UnknownIssuer";
    assert!(readiness.contains(words), "{readiness}");

    project(
        &volume,
        "..second",
        &format!("{}{BAD}{authority}", another_root()),
    );
    // STS and AMP both use the new root, and nothing is restarted.
    rig.write_until_stored(&batch, Duration::from_secs(30))
        .await;
    assert!(was_shown("trusted certificates reloaded"));
    assert!(was_shown("certificate 2 of 3 in "));

    project(&volume, "..third", "not a certificate");
    until_fault(&rig, false).await;
    assert_eq!(rig.write(&bodies::v1("down", 3)).await, StatusCode::OK);
    assert!(was_shown(
        "trusted certificates were not reloaded, keeping the previous ones"
    ));
    project(&volume, "..fourth", &authority);
    until_fault(&rig, true).await;
    assert_eq!(rig.write(&bodies::v1("left", 3)).await, StatusCode::OK);
}
