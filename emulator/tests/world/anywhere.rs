//! Roles Anywhere over the wire: signed by ring here, verified by the emulator's own reading of the user guide.

use std::fs;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::anywhere::{AnywhereConfig, AnywhereRefusal, IssuedCertificate, LeafKey, LeafSpec};
use emulator::fault::Fault;
use emulator::world::{Target, World, WorldConfig};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::client::{Answer, address, assume, say, whole};
use crate::signing::{chain, write};

const PATIENCE: Duration = Duration::from_secs(20);
const TIMESTAMP: &[time::format_description::FormatItem<'_>] =
    time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");

async fn with(change: impl FnOnce(&mut LeafSpec)) -> World {
    let mut anywhere = AnywhereConfig::default();
    change(&mut anywhere.leaf);
    World::start(WorldConfig::through_roles_anywhere(anywhere))
        .await
        .expect("a world")
}

/// A request as a good client makes it, and what a test makes of it.
struct Asked {
    chain: Vec<CertificateDer<'static>>,
    key: String,
    body: Value,
    at: SystemTime,
    /// Instead of the certificate's own.
    serial: Option<String>,
}

impl Asked {
    fn of(world: &World, chain: &str, key: &str) -> Self {
        let anywhere = world.anywhere().expect("Roles Anywhere");
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
        Self {
            chain: chain.collect::<Result<_, _>>().expect("certificates"),
            key: key.to_owned(),
            body: json!({
                "profileArn": anywhere.profile_arn(),
                "roleArn": world.role_arn(),
                "trustAnchorArn": anywhere.trust_anchor_arn(),
                "durationSeconds": 900,
            }),
            at: world.clock().now(),
            serial: None,
        }
    }

    fn now(world: &World) -> Self {
        let anywhere = world.anywhere().expect("Roles Anywhere");
        let read = |file| fs::read_to_string(file).expect("readable");
        let (chain, key) = (read(anywhere.certificate_file()), read(anywhere.key_file()));
        Self::of(world, &chain, &key)
    }

    fn issued(world: &World, issued: &IssuedCertificate) -> Self {
        Self::of(world, &issued.chain, &issued.key)
    }

    fn change(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body[field] = value.into();
        self
    }

    fn sign(&self, text: &str) -> (&'static str, Vec<u8>) {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key");
        let random = SystemRandom::new();
        match key {
            PrivateKeyDer::Pkcs1(der) => {
                let pair = RsaKeyPair::from_der(der.secret_pkcs1_der()).expect("RSA");
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
                    .expect("signed");
                ("RSA", signature)
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random)
                    .expect("P-256");
                let signed = pair.sign(&random, text.as_bytes()).expect("signed");
                ("ECDSA", signed.as_ref().to_vec())
            }
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&self, world: &World) -> Answer {
        self.ask_with(world, "").await
    }

    /// `more` is appended to the body after it was signed.
    async fn ask_with(&self, world: &World, more: &str) -> Answer {
        let to = address(world.anywhere_url().expect("Roles Anywhere"));
        let body = self.body.to_string();
        let at = time::OffsetDateTime::from(self.at)
            .format(TIMESTAMP)
            .expect("a time");
        let encoded: Vec<String> = self.chain.iter().map(|der| STANDARD.encode(der)).collect();
        let (leaf, rest) = encoded.split_first().expect("a certificate");
        let rest = rest.join(",");
        let canonical = format!(
            "POST\n/sessions\n\nhost:{to}\nx-amz-date:{at}\nx-amz-x509:{leaf}\nx-amz-x509-chain:{rest}\n\nhost;x-amz-date;x-amz-x509;x-amz-x509-chain\n{}",
            hex::encode(Sha256::digest(&body))
        );
        let scope = format!("{}/{}/rolesanywhere/aws4_request", &at[..8], world.region());
        let (kind, _) = self.sign("");
        let text = format!(
            "AWS4-X509-{kind}-SHA256\n{at}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical))
        );
        let (_, signature) = self.sign(&text);
        let (_, certificate) = X509Certificate::from_der(&self.chain[0]).expect("a certificate");
        let serial = self.serial.clone();
        let serial = serial.unwrap_or_else(|| certificate.tbs_certificate.serial.to_string());
        let request = format!(
            "POST /sessions HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\ncontent-type: application/json\r\nx-amz-date: {at}\r\nx-amz-x509: {leaf}\r\nx-amz-x509-chain: {rest}\r\nauthorization: AWS4-X509-{kind}-SHA256 Credential={serial}/{scope}, SignedHeaders=host;x-amz-date;x-amz-x509;x-amz-x509-chain, Signature={}\r\ncontent-length: {}\r\n\r\n{body}{more}",
            hex::encode(signature),
            body.len() + more.len()
        );
        whole(&say(to, request, PATIENCE).await.bytes)
    }
}

#[track_caller]
fn refused(answer: &Answer, refusal: &AnywhereRefusal) {
    assert_eq!(
        (
            answer.status,
            answer.header("x-amzn-errortype"),
            &answer.json()["message"]
        ),
        (
            refusal.status().as_u16(),
            Some(refusal.code()),
            &json!(refusal.to_string())
        )
    );
}

#[tokio::test]
async fn a_certificate_leads_to_the_workspace() {
    for key in [LeafKey::EcdsaP256, LeafKey::Rsa] {
        let world = with(|leaf| leaf.key = key).await;
        let answer = Asked::now(&world).ask(&world).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let set = &answer.json()["credentialSet"][0];
        let id = set["credentials"]["accessKeyId"].as_str().expect("a key");
        let session = world.sessions().find(id).expect("issued");
        assert_eq!(set["sourceIdentity"], json!("amp-sidecar"));
        assert_eq!(
            set["assumedRoleUser"]["arn"],
            json!(session.assumed_role_arn)
        );
        // Named after the serial number, 16 bytes in hexadecimal.
        let name = session.assumed_role_arn.rsplit('/').next().expect("a name");
        assert!(name.len() == 32 && hex::decode(name).is_ok(), "{name}");
        let url = world.amp_url().to_owned();
        let written = write(&world, &session, &url, world.region()).await;
        assert_eq!(written.status, 200, "{}", written.body);
        // The pod's token leads nowhere: the role trusts certificates.
        assert_eq!(assume(&world, &[]).await.status, 403);
    }
}

#[tokio::test]
async fn only_the_key_of_the_certificate_signs_for_it() {
    let world = with(|_| {}).await;
    let anywhere = world.anywhere().expect("Roles Anywhere");
    let (one, other) = (
        anywhere.issue(&LeafSpec::default()).expect("issued"),
        anywhere.issue(&LeafSpec::default()).expect("issued"),
    );
    let invalid = AnywhereRefusal::InvalidSignature;
    let foreign = Asked::of(&world, &one.chain, &other.key);
    refused(&foreign.ask(&world).await, &invalid);
    let mut renumbered = Asked::issued(&world, &one);
    renumbered.serial = Some("1".to_owned());
    refused(&renumbered.ask(&world).await, &invalid);
    refused(
        &Asked::issued(&world, &one).ask_with(&world, " ").await,
        &invalid,
    );
    let mut late = Asked::issued(&world, &one);
    late.at -= Duration::from_secs(3600);
    let answer = late.ask(&world).await;
    assert_eq!(
        answer.header("x-amzn-errortype"),
        Some("AccessDeniedException")
    );
    assert!(answer.body.contains("Signature expired"), "{}", answer.body);
    assert_eq!(Asked::issued(&world, &one).ask(&world).await.status, 201);
}

#[tokio::test]
async fn a_certificate_has_to_be_an_end_entitys_that_leads_to_the_anchor_now() {
    let world = with(|_| {}).await;
    let anywhere = world.anywhere().expect("Roles Anywhere");
    let issue = |change: fn(&mut LeafSpec)| {
        let mut spec = LeafSpec::default();
        change(&mut spec);
        Asked::issued(&world, &anywhere.issue(&spec).expect("issued"))
    };
    let untrusted = AnywhereRefusal::UntrustedSigningCertificate;
    let insufficient = AnywhereRefusal::InsufficientCertificate;
    for (change, refusal) in [
        (
            (|spec| spec.is_ca = true) as fn(&mut LeafSpec),
            &insufficient,
        ),
        (|spec| spec.may_sign = false, &insufficient),
        (|spec| spec.is_constrained = false, &insufficient),
        (|spec| spec.stranger = true, &untrusted),
        (
            |spec| spec.valid_since = time::Duration::hours(-1),
            &untrusted,
        ),
        (
            |spec| {
                spec.valid_since = time::Duration::hours(2);
                spec.life = time::Duration::seconds(-1);
            },
            &untrusted,
        ),
    ] {
        refused(&issue(change).ask(&world).await, refusal);
    }
    let mut without_chain = issue(|_| {});
    let intermediate = without_chain.chain.pop().expect("an intermediate");
    without_chain.chain.push(without_chain.chain[0].clone());
    refused(&without_chain.ask(&world).await, &untrusted);
    without_chain.chain[1] = intermediate;
    assert_eq!(without_chain.ask(&world).await.status, 201);
}

#[tokio::test]
async fn anchor_profile_and_role_each_have_their_say() {
    let world = with(|leaf| leaf.organization = Some("Example".to_owned())).await;
    let anywhere = world.anywhere().expect("Roles Anywhere");
    let ask = || Asked::now(&world);
    let role = AnywhereRefusal::Role(world.role_arn().to_owned());

    let absent = format!("{}0", anywhere.trust_anchor_arn());
    let answer = ask().change("trustAnchorArn", absent).ask(&world).await;
    refused(&answer, &AnywhereRefusal::NotFound("Trust anchor"));
    let answer = ask().change("profileArn", "arn:x").ask(&world).await;
    refused(&answer, &AnywhereRefusal::NotFound("Profile"));
    let other = "arn:aws:iam::123456789012:role/other";
    let answer = ask().change("roleArn", other).ask(&world).await;
    refused(&answer, &AnywhereRefusal::Role(other.to_owned()));
    let answer = ask().change("roleArn", Value::Null).ask(&world).await;
    assert_eq!(
        answer.header("x-amzn-errortype"),
        Some("ValidationException")
    );
    let answer = ask().change("durationSeconds", 899).ask(&world).await;
    assert_eq!(
        (answer.status, answer.body.contains("durationSeconds")),
        (400, true)
    );

    let answer = ask().change("roleSessionName", "me").ask(&world).await;
    refused(&answer, &AnywhereRefusal::SessionName);
    anywhere.change(|directory| directory.accept_role_session_name = true);
    let answer = ask().change("roleSessionName", "me").ask(&world).await;
    assert!(
        answer.body.contains("assumed-role/amp-sidecar-writer/me"),
        "{}",
        answer.body
    );
    assert_eq!(
        anywhere
            .calls()
            .all()
            .last()
            .expect("a call")
            .session_name
            .as_deref(),
        Some("me")
    );

    let serial = anywhere.renew().expect("renewed").serial;
    anywhere.change(|directory| directory.revoked.extend([serial]));
    refused(&ask().ask(&world).await, &AnywhereRefusal::Revoked);
    anywhere.renew().expect("renewed");
    anywhere.change(|directory| directory.profile_enabled = false);
    refused(
        &ask().ask(&world).await,
        &AnywhereRefusal::Disabled("Profile"),
    );
    anywhere.change(|directory| directory.anchor_enabled = false);
    refused(
        &ask().ask(&world).await,
        &AnywhereRefusal::Disabled("Trust anchor"),
    );
    anywhere
        .change(|directory| (directory.anchor_enabled, directory.profile_enabled) = (true, true));

    let name = |name: &str| {
        let name = name.to_owned();
        anywhere
            .replace(|leaf| leaf.common_name = name)
            .expect("replaced");
        Asked::now(&world)
    };
    refused(&name("another").ask(&world).await, &role);
    let answer = name("amp-sidecar (a)").ask(&world).await;
    assert!(answer.body.contains("session tags"), "{}", answer.body);
    assert!(answer.body.contains("Subject: [ CN ]"), "{}", answer.body);
    assert_eq!(name("amp-sidecar").ask(&world).await.status, 201);

    let throttled = AnywhereRefusal::Throttled;
    world
        .faults(Target::RolesAnywhere)
        .set([Fault::new(throttled.fault())]);
    refused(&ask().ask(&world).await, &throttled);
}

#[tokio::test]
async fn a_policy_may_ask_for_the_anchor_and_a_chain_carries_the_source_identity() {
    let trust = r#"{"Statement": [{"Effect": "Allow", "Principal": {"Service": "rolesanywhere.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
        "Condition": {"ArnEquals": {"aws:SourceArn": "ANCHOR"}}}]}"#;
    let lacking = trust
        .replace(", \"sts:TagSession\"", "")
        .replace("ANCHOR", "${ANCHOR}");
    for (policy, status) in [
        (trust.replace("ANCHOR", "${ANCHOR}"), 201),
        (
            trust.replace("ANCHOR", "arn:aws:rolesanywhere:*:*:trust-anchor/*"),
            201,
        ),
        (
            trust.replace("ANCHOR", "arn:aws:rolesanywhere:eu-west-1:1:trust-anchor/a"),
            403,
        ),
        (lacking, 403),
    ] {
        let config = WorldConfig {
            trust_policy: Some(policy.clone()),
            ..WorldConfig::through_roles_anywhere(AnywhereConfig::default()).two_hops("tenant-42")
        };
        let world = World::start(config).await.expect("a world");
        let answer = Asked::now(&world).ask(&world).await;
        assert_eq!(answer.status, status, "{policy}: {}", answer.body);
        let id = answer.json()["credentialSet"][0]["credentials"]["accessKeyId"].clone();
        let Some(session) = id.as_str().and_then(|id| world.sessions().find(id)) else {
            continue;
        };
        let hub = &world.chain()[0].arn;
        let hop = chain(&world, &session, hub, &[]).await;
        assert_eq!(hop.element("SourceIdentity"), "amp-sidecar", "{}", hop.body);
        let renamed = [("SourceIdentity", "another")];
        assert_eq!(chain(&world, &session, hub, &renamed).await.status, 403);
    }
}
