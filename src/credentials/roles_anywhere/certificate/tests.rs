use std::time::Duration;

use rcgen::{CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, SerialNumber};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

fn openssls(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/roles-anywhere/");
    let pem = std::fs::read(format!("{folder}{name}")).unwrap();
    CertificateDer::from_pem_slice(&pem).unwrap().to_vec()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn the_fields_are_those_that_openssl_prints() {
    let certificate = Certificate::parse(&openssls("rsa.pem")).unwrap();
    assert_eq!(certificate.serial_hex(), "8A3F00C2D4E5F60718293A4B5C6D7E8F");
    assert_eq!(
        certificate.serial_decimal(),
        "183760593556558440296444174660608556687"
    );
    assert_eq!(
        certificate.subject(),
        "O=Example GmbH, OU=Observability, CN=amp-sidecar"
    );
    assert_eq!(certificate.issuer(), "O=Example, CN=Example workloads");
    assert_eq!(certificate.common_name().as_deref(), Some("amp-sidecar"));
    assert!(certificate.may_sign && !certificate.is_ca);
    // Nov 28 15:43:52 2026, as UTCTime, and Aug 31 15:43:52 2081, as GeneralizedTime.
    assert_eq!(certificate.not_before, at(1_795_880_632));
    assert_eq!(certificate.not_after(), at(3_523_880_632));

    let read = |name| Certificate::parse(&openssls(name)).unwrap();
    let (leaf, intermediate, root) = (read("ec.pem"), read("intermediate.pem"), read("ca.pem"));
    assert!(leaf.is_issued_by(&intermediate) && intermediate.is_issued_by(&root));
    assert!(!leaf.is_issued_by(&root));
    assert!(root.is_self_issued() && !intermediate.is_self_issued());
    assert!(intermediate.is_ca && !intermediate.may_sign);
    assert!(!read("ec-no-signature.pem").may_sign);
    assert!(read("ec-no-usage.pem").may_sign);
}

#[test]
fn another_parser_reads_the_same() {
    let key = KeyPair::generate().unwrap();
    for n in 0..64_u8 {
        let mut params = CertificateParams::new(["host.example".to_owned()]).unwrap();
        let serial: Vec<u8> = (0..n % 20).map(|at| at.wrapping_mul(n) ^ 0x5a).collect();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let names = &mut params.distinguished_name;
        names.push(DnType::CommonName, format!("name {n}, ü"));
        names.push(DnType::OrganizationName, "Example");
        if n % 3 == 0 {
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        if n % 2 == 0 {
            params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        }
        if n % 4 == 0 {
            params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        }
        params.not_before = rcgen::date_time_ymd(1999 + i32::from(n), 2, 28);
        params.not_after = rcgen::date_time_ymd(2010 + i32::from(n), 12, 31);
        let made = params.self_signed(&key).unwrap();
        let ours = Certificate::parse(made.der()).unwrap();
        let (_, theirs) = X509Certificate::from_der(made.der()).unwrap();
        let seconds = |time: SystemTime| time.duration_since(at(0)).unwrap().as_secs() as i64;
        assert_eq!(
            ours.serial_decimal(),
            theirs.tbs_certificate.serial.to_string()
        );
        assert_eq!(
            seconds(ours.not_before),
            theirs.validity().not_before.timestamp()
        );
        assert_eq!(
            seconds(ours.not_after),
            theirs.validity().not_after.timestamp()
        );
        assert_eq!(ours.public_key, theirs.public_key().raw);
        assert_eq!(ours.is_ca, theirs.is_ca());
        let usage = theirs.key_usage().unwrap();
        assert_eq!(
            ours.may_sign,
            usage.is_none_or(|usage| usage.value.digital_signature())
        );
        assert_eq!(ours.subject.der, theirs.subject().as_raw());
        let common = theirs.subject().iter_common_name().next().unwrap();
        assert_eq!(ours.common_name().as_deref(), common.as_str().ok());
    }
}

/// The decimal form of a longer one would take long to write, and no authority gives one.
#[test]
fn a_serial_number_has_twenty_octets_at_most() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/certificate/");
    let read = |name| std::fs::read(format!("{corpus}serial-of-{name}-octets")).unwrap();
    let longest = Certificate::parse(&read("20")).unwrap();
    assert_eq!(longest.serial_hex(), "5A".repeat(20));
    for name in ["21", "200"] {
        assert_eq!(Certificate::parse(&read(name)), None, "{name}");
    }
}

#[test]
fn what_is_cut_off_or_garbled_is_no_certificate_or_another_but_never_a_panic() {
    let whole = openssls("rsa.pem");
    for length in 0..whole.len() {
        assert_eq!(Certificate::parse(&whole[..length]), None, "{length}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut garbled = whole.clone();
            garbled[at] ^= 1 << bit;
            let _parsed = Certificate::parse(&garbled).map(|one| one.names());
        }
    }
}

#[test]
fn what_is_left_of_its_life_is_told() {
    let certificate = Certificate::parse(&openssls("ec.pem")).unwrap();
    let (from, until) = (certificate.not_before, certificate.not_after());
    let hour = Duration::from_secs(3600);
    assert_eq!(certificate.out_of_time(from), None);
    let early = certificate.out_of_time(from - hour).unwrap();
    assert!(early.contains("begins in 3600 s only"), "{early}");
    let late = certificate.out_of_time(until + hour).unwrap();
    assert!(late.contains("ended 3600 s ago"), "{late}");
    assert_eq!(certificate.life_left(from), 1.0);
    assert_eq!(certificate.life_left(until + hour), 0.0);
}
