//! The files of a certificate and of its key, whatever is in them: what x509-parser reads too is read in the same way, and nothing of a key
//! is ever shown.

use std::time::SystemTime;

use amp_sidecar::credentials::roles_anywhere::{certificate_in, signer_in};
use amp_sidecar::sanitize::sanitize;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{is_fit_to_be_shown, withholds};

const CHAIN: &[u8] = include_bytes!("../../tests/data/roles-anywhere/ec.pem");
const KEY: &[u8] = include_bytes!("../../tests/data/roles-anywhere/ec-sec1.key");
/// RFC 5280: a serial number has 20 octets at most.
const LONGEST_SERIAL: usize = 20;

/// The input is a certificate in DER, then the certificate's file, then the key's.
pub fn holds(input: &[u8]) {
    der(input);
    files(input, KEY);
    files(CHAIN, input);
    files(input, input);
}

fn der(input: &[u8]) {
    let theirs = X509Certificate::from_der(input).ok().map(|(_, read)| read);
    let Some(ours) = certificate_in(input) else {
        return;
    };
    let decimal = ours.serial_decimal();
    assert!(decimal.len() <= 49 && decimal.bytes().all(|b| b.is_ascii_digit()));
    assert!(ours.serial_hex().len() <= 2 * LONGEST_SERIAL);
    for shown in [ours.subject(), ours.issuer()] {
        assert!(!shown.contains(|c: char| c.is_control()), "{shown:?}");
    }
    let Some(theirs) = theirs else {
        return;
    };
    let (not_before, not_after, public_key, is_ca, may_sign) = ours.facts();
    assert_eq!(decimal, theirs.tbs_certificate.serial.to_string());
    assert_eq!(
        seconds(not_before),
        theirs.validity().not_before.timestamp()
    );
    assert_eq!(seconds(not_after), theirs.validity().not_after.timestamp());
    // What is after the key in its own sequence is left out there.
    assert!(public_key.starts_with(theirs.public_key().raw));
    let is_unread = |extension: &X509Extension<'_>| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::ParseError { .. }
        )
    };
    // Twice the same extension is an error there, and one that cannot be read is none.
    if let (Ok(constraints), Ok(usage)) = (theirs.basic_constraints(), theirs.key_usage())
        && !theirs.extensions().iter().any(is_unread)
    {
        assert_eq!(is_ca, constraints.is_some_and(|found| found.value.ca));
        let signs = usage.is_none_or(|found| found.value.digital_signature());
        assert_eq!(may_sign, signs);
    }
    let common_name = theirs.subject().iter_common_name().next();
    // Texts that are neither ASCII nor UTF-8 are an error there; here the tags of a name must be right.
    if let (Some(Ok(text)), Some(ours)) =
        (common_name.map(|name| name.as_str()), ours.common_name())
    {
        assert_eq!(ours, sanitize(text));
    }
}

fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    }
}

fn files(chain: &[u8], key: &[u8]) {
    let shown = match signer_in(chain, key) {
        Ok(signer) => format!("{signer:?}"),
        Err(error) => {
            let shown = error.to_string();
            is_fit_to_be_shown(&shown);
            shown
        }
    };
    let lines = key.split(|byte| *byte == b'\n');
    for line in lines.filter(|line| line.len() >= 40) {
        withholds(&shown, &String::from_utf8_lossy(line));
    }
}
