//! AMP's certificate chain, judged by a rustls client.

use std::sync::Arc;

use emulator::tls::Presented;
use emulator::world::{World, WorldConfig};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::client::{address, handshake};

/// A client that trusts what lies in the world's CA file and nothing else.
fn client(world: &World) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(world.ca_file()).expect("PEM"))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test]
async fn the_chain_is_good_for_every_name_of_amp() {
    let world = World::start(WorldConfig::default()).await.expect("a world");
    let amp = address(world.amp_url());
    let regional = format!("aps-workspaces.{}.amazonaws.com", world.region());
    for name in ["127.0.0.1", "localhost", "::1", &regional] {
        let stream = handshake(amp, name, client(&world)).await.expect(name);
        let chain = stream.get_ref().1.peer_certificates().expect("a chain");
        assert_ne!(
            chain[0],
            CertificateDer::from_pem_file(world.ca_file()).expect("PEM")
        );
    }
    assert!(
        handshake(amp, "sts.amazonaws.com", client(&world))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_bad_certificate_is_refused_for_its_own_reason() {
    let world = World::start(WorldConfig::default()).await.expect("a world");
    let amp = address(world.amp_url());
    for (presented, reason) in [
        (Presented::Expired, "expired"),
        (Presented::WrongName, "name"),
        (Presented::UnknownAuthority, "authority"),
    ] {
        world.present(presented);
        let error = handshake(amp, "localhost", client(&world))
            .await
            .expect_err("refused");
        let cause = error
            .get_ref()
            .and_then(|cause| cause.downcast_ref())
            .expect("rustls' own");
        let rustls::Error::InvalidCertificate(cause) = cause else {
            panic!("{cause}")
        };
        let found = match cause {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "name"
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => "authority",
            other => panic!("{other}"),
        };
        assert_eq!(found, reason);
    }
    world.present(Presented::Trusted);
    handshake(amp, "localhost", client(&world))
        .await
        .expect("good again");
}

#[tokio::test]
async fn sts_speaks_tls_where_it_is_configured() {
    let config = WorldConfig {
        sts_https: true,
        ..WorldConfig::default()
    };
    let world = World::start(config).await.expect("a world");
    assert!(world.sts_url().starts_with("https://"));
    handshake(address(world.sts_url()), "127.0.0.1", client(&world))
        .await
        .expect("trusted");
}
