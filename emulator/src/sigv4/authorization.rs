//! The `Authorization` header, parsed as strictly as the format is written.
//!
//! `AWS4-HMAC-SHA256 Credential=<key>/<day>/<region>/<service>/aws4_request, SignedHeaders=<a;b>, Signature=<hex>`.
//! AWS forgives more than this (other orders, missing spaces); a signer that needs forgiving is one we want to find,
//! so each parameter must be there once, names must be lower case, sorted and distinct, and the signature lower-case hex.

use super::fault::SignatureFault;

/// The algorithm of who has a secret key.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What the header says, nothing of it believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) algorithm: String,
    /// Of who signs with a certificate, its serial number.
    pub(crate) access_key_id: String,
    /// Day, region, service and terminator.
    pub(super) scope: Scope,
    pub(super) signed_headers: Vec<String>,
    pub(crate) signature: Vec<u8>,
}

/// The credential scope: to what a signing key is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(super) day: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) terminator: String,
}

impl Scope {
    /// As the string to sign repeats it.
    pub(super) fn text(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.day, self.region, self.service, self.terminator
        )
    }
}

impl Authorization {
    /// Takes the header's value apart; its algorithm has to be one of `algorithms`.
    pub(super) fn parse(header: &str, algorithms: &[&str]) -> Result<Self, SignatureFault> {
        let (algorithm, parameters) = header.split_once(' ').unwrap_or((header, ""));
        if !algorithms.contains(&algorithm) {
            return Err(incomplete(format!(
                "Unsupported AWS 'algorithm': '{algorithm}'"
            )));
        }
        let [mut credential, mut signed, mut signature] = [None, None, None];
        for parameter in parameters
            .split(',')
            .map(|text| text.trim_start_matches(' '))
        {
            let (name, value) = parameter.split_once('=').ok_or_else(|| {
                incomplete(
                    "Invalid key=value pair (missing equal-sign) in Authorization header".into(),
                )
            })?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                other => {
                    return Err(incomplete(format!(
                        "'{other}' is not a parameter of the Authorization header."
                    )));
                }
            };
            if slot.replace(value).is_some() {
                return Err(incomplete(format!(
                    "Authorization header has '{name}' twice."
                )));
            }
        }
        let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature)
        else {
            let missing = [
                ("Credential", credential),
                ("Signature", signature),
                ("SignedHeaders", signed),
            ];
            let texts = missing.iter().filter(|(_, value)| value.is_none());
            let texts: Vec<String> = texts
                .map(|(name, _)| format!("Authorization header requires '{name}' parameter."))
                .collect();
            return Err(incomplete(texts.join(" ")));
        };
        let (access_key_id, scope) = parse_credential(credential)?;
        Ok(Self {
            algorithm: algorithm.to_owned(),
            access_key_id,
            scope,
            signed_headers: parse_names(signed)?,
            signature: parse_signature(signature, algorithm)?,
        })
    }
}

fn parse_credential(text: &str) -> Result<(String, Scope), SignatureFault> {
    let mut parts = text.split('/').map(str::to_owned);
    match (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) {
        (Some(key), Some(day), Some(region), Some(service), Some(terminator), None)
            if !key.is_empty() =>
        {
            Ok((
                key,
                Scope {
                    day,
                    region,
                    service,
                    terminator,
                },
            ))
        }
        _ => Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{text}'"
        ))),
    }
}

fn parse_names(text: &str) -> Result<Vec<String>, SignatureFault> {
    let names: Vec<String> = text.split(';').map(str::to_owned).collect();
    let well_formed = names.iter().all(|name| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
    });
    if well_formed && names.is_sorted_by(|left, right| left < right) {
        Ok(names)
    } else {
        Err(incomplete(format!(
            "SignedHeaders must be lower case, sorted and distinct, got '{text}'"
        )))
    }
}

fn parse_signature(text: &str, algorithm: &str) -> Result<Vec<u8>, SignatureFault> {
    let length_fits = algorithm != ALGORITHM || text.len() == 64;
    let canonical = length_fits && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let decoded = canonical.then(|| hex::decode(text).ok()).flatten();
    decoded.ok_or_else(|| incomplete("Signature must be 64 lower-case hexadecimal digits.".into()))
}

fn incomplete(message: String) -> SignatureFault {
    SignatureFault::Incomplete(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "Credential=AKID/20150830/us-east-1/aps/aws4_request";
    const HEX: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    #[test]
    fn takes_the_parts_in_any_order() {
        let header = format!("{ALGORITHM} SignedHeaders=host;x-amz-date,Signature={HEX}, {KEY}");
        let parsed = Authorization::parse(&header, &[ALGORITHM]).unwrap();
        assert_eq!(parsed.access_key_id, "AKID");
        assert_eq!(parsed.scope.text(), "20150830/us-east-1/aps/aws4_request");
        assert_eq!(parsed.signed_headers, ["host", "x-amz-date"]);
        assert_eq!(hex::encode(parsed.signature), HEX);
    }

    #[test]
    fn refuses_whatever_is_not_the_format() {
        let signed = "SignedHeaders=host";
        let signature = format!("Signature={HEX}");
        let upper = HEX.to_uppercase();
        let cases = [
            (String::new(), "Unsupported AWS 'algorithm': ''"),
            ("Bearer abc".into(), "Unsupported AWS 'algorithm': 'Bearer'"),
            (
                format!("{ALGORITHM} {KEY}, {signed}"),
                "requires 'Signature' parameter",
            ),
            (
                format!("{ALGORITHM} {signed}, {signature}"),
                "requires 'Credential' parameter",
            ),
            (
                format!("{ALGORITHM} {KEY}, {signature}"),
                "requires 'SignedHeaders' parameter",
            ),
            (
                format!("{ALGORITHM} {KEY}, {signed}, {signature}, {signed}"),
                "'SignedHeaders' twice",
            ),
            (
                format!("{ALGORITHM} {KEY}, {signed}, {signature}, X=1"),
                "'X' is not a parameter",
            ),
            (
                format!("{ALGORITHM} {KEY}, {signed}, {signature},"),
                "missing equal-sign",
            ),
            (
                format!("{ALGORITHM} Credential=AKID/20150830/aps, {signed}, {signature}"),
                "exactly 5",
            ),
            (
                format!("{ALGORITHM} {KEY}/more, {signed}, {signature}"),
                "exactly 5",
            ),
            (
                format!("{ALGORITHM} {KEY}, SignedHeaders=x-amz-date;host, {signature}"),
                "sorted",
            ),
            (
                format!("{ALGORITHM} {KEY}, SignedHeaders=Host, {signature}"),
                "lower case",
            ),
            (
                format!("{ALGORITHM} {KEY}, SignedHeaders=host;host, {signature}"),
                "distinct",
            ),
            (
                format!("{ALGORITHM} {KEY}, SignedHeaders=, {signature}"),
                "SignedHeaders must",
            ),
            (
                format!("{ALGORITHM} {KEY}, {signed}, Signature={upper}"),
                "64 lower-case",
            ),
            (
                format!("{ALGORITHM} {KEY}, {signed}, Signature=abc"),
                "64 lower-case",
            ),
        ];
        for (header, expected) in cases {
            let fault = Authorization::parse(&header, &[ALGORITHM])
                .expect_err(&header)
                .to_string();
            assert!(fault.contains(expected), "{header}: {fault}");
        }
    }
}
