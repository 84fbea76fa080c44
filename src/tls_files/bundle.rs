//! PEM bundles of CA certificates, for endpoints, collector and clients.
//!
//! In: a file's path. Out: a [`CaBundle`] of every valid certificate in it, with one line for each invalid one, by its number in the file; or the
//! expected content if no certificate is valid. Others often assemble these bundles, and one bad entry among a hundred must not stop data; fewer
//! certificates trust less, so skipping one is safe.
//!
//! Each entry is parsed separately: with one reader over the whole file, an entry without its end line would spoil the next one.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const BEGIN: &str = "-----BEGIN ";
/// How many faulty certificates an error lists.
const MOST_LISTED: usize = 3;

/// The certificates of a PEM file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CaBundle {
    /// The valid ones.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// The errors of the others, one line each.
    pub(crate) skipped: Vec<String>,
}

// === impl CaBundle ===

impl CaBundle {
    /// Reads the file, or returns the expected content.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let pem = std::fs::read(path).map_err(|error| format!("a readable PEM file ({error})"))?;
        Self::parse(&String::from_utf8_lossy(&pem), path)
    }

    fn parse(pem: &str, path: &Path) -> Result<Self, String> {
        let entries: Vec<&str> = entries(pem).filter(|entry| is_certificate(entry)).collect();
        let mut bundle = Self::default();
        for (n, entry) in entries.iter().enumerate() {
            match certificate(entry) {
                Ok(certificate) => bundle.certificates.push(certificate),
                Err(why) => bundle.skipped.push(format!(
                    "certificate {} of {} in {}: {why}; it is not trusted, the others are",
                    n + 1,
                    entries.len(),
                    path.display()
                )),
            }
        }
        if !bundle.certificates.is_empty() {
            return Ok(bundle);
        }
        let mut expected = "a PEM file with at least one certificate".to_owned();
        let mut start = pem.chars();
        // An ASN.1 sequence with a long length, where PEM is text.
        if start.next() == Some('0') && start.next().is_some_and(|c| !c.is_ascii()) {
            let file = path.display();
            expected.push_str(&format!(
                "; this is DER: openssl x509 -inform der -in {file} -out {file}.pem"
            ));
        } else if entries.is_empty()
            && self::entries(pem).any(|entry| label(entry).ends_with("PRIVATE KEY"))
        {
            expected.push_str("; this holds a private key");
        }
        if !entries.is_empty() {
            let whys = entries.iter().filter_map(|entry| certificate(entry).err());
            let whys: Vec<String> = whys.take(MOST_LISTED).collect();
            expected.push_str(&format!(
                " that can be used; it holds {}, none of which can: {}",
                entries.len(),
                whys.join("; ")
            ));
        }
        Err(expected)
    }
}

/// From each `BEGIN` to the next, even if the previous entry lacks its end line.
fn entries(pem: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = pem.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([pem.len()]).collect();
    starts
        .into_iter()
        .zip(ends)
        .filter_map(|(start, end)| pem.get(start..end))
}

fn label(entry: &str) -> &str {
    let line = entry.lines().next().unwrap_or_default();
    line.trim_start_matches(BEGIN).trim().trim_end_matches('-')
}

fn is_certificate(entry: &str) -> bool {
    label(entry).ends_with("CERTIFICATE")
}

fn certificate(entry: &str) -> Result<CertificateDer<'static>, String> {
    let label = label(entry);
    if label != "CERTIFICATE" {
        return Err(format!(
            "it is a {label}, write it as a CERTIFICATE (openssl x509 does)"
        ));
    }
    let certificate = CertificateDer::from_pem_slice(entry.as_bytes())
        .map_err(|error| format!("it is not PEM ({error})"))?;
    let mut store = RootCertStore::empty();
    match store.add(certificate.clone()) {
        Ok(()) => Ok(certificate),
        Err(rustls::Error::InvalidCertificate(why)) => {
            Err(format!("it is not an X.509 certificate ({why})"))
        }
        Err(other) => Err(other.to_string()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A self-signed certificate as PEM.
    pub(crate) fn root() -> String {
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    fn parse(pem: &str) -> Result<CaBundle, String> {
        CaBundle::parse(pem, Path::new("/etc/ca.pem"))
    }

    #[test]
    fn a_faulty_certificate_is_named_by_its_number_and_the_others_are_trusted() {
        let fine = root();
        let cut = fine.replacen("-----END CERTIFICATE-----\n", "", 1);
        let garbled = fine.replacen("\nMI", "\n%%", 1);
        let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let trusted = fine.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let pem = format!("# ours\n{fine}{cut}{key}{garbled}{not_der}{trusted}{fine}");
        let bundle = parse(&pem).unwrap();
        assert_eq!(bundle.certificates.len(), 2);
        let words = [
            "certificate 2 of 6 in /etc/ca.pem: it is not PEM (",
            "certificate 3 of 6 in /etc/ca.pem: it is not PEM (",
            "certificate 4 of 6 in /etc/ca.pem: it is not an X.509 certificate (",
            "certificate 5 of 6 in /etc/ca.pem: it is a TRUSTED CERTIFICATE",
        ];
        assert_eq!(bundle.skipped.len(), words.len(), "{:?}", bundle.skipped);
        for (line, words) in bundle.skipped.iter().zip(words) {
            assert!(line.starts_with(words), "{line}");
        }
    }

    #[test]
    fn files_that_were_joined_without_a_line_end_are_whole() {
        let fine = root();
        let bundle = parse(&format!(
            "{}{}",
            fine.trim_end(),
            fine.replace('\n', "\r\n")
        ));
        assert_eq!(bundle.unwrap().certificates.len(), 2);
    }

    #[test]
    fn a_bundle_without_a_usable_certificate_is_an_error() {
        for (pem, words) in [
            (String::new(), "at least one certificate"),
            (
                "\u{30}\u{82}\u{fffd}".to_owned(),
                "certificate; this is DER: openssl x509 -inform der -in /etc/ca.pem -out /etc/ca.pem.pem",
            ),
            (
                rcgen::KeyPair::generate().unwrap().serialize_pem(),
                "at least one certificate; this holds a private key",
            ),
            (
                root().replacen("\nMI", "\n%%", 1),
                "it holds 1, none of which can: it is not PEM (",
            ),
        ] {
            let message = parse(&pem).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
    }
}
