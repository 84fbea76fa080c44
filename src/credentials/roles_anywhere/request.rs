//! The request of CreateSession and its signature, as the user guide of IAM Roles Anywhere describes them.
//!
//! In: what is asked for, who signs, and when. Out: headers and body. The signature is Signature Version 4 but for the key, the algorithm's name, and the
//! serial number in the place of an access key; `aws-sigv4` signs with secret keys only, so the canonical request is written here.

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::error::RolesAnywhereError;
use super::signer::Signer;
use crate::config::RolesAnywhereConfig;

const TIMESTAMP: &[FormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    duration_seconds: u64,
    profile_arn: &'a str,
    role_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_session_name: Option<&'a str>,
    trust_anchor_arn: &'a str,
}

/// The signed request, to be sent to the endpoint.
pub(super) fn create_session(
    config: &RolesAnywhereConfig,
    signer: &Signer,
    now: SystemTime,
) -> Result<(HeaderMap, String), RolesAnywhereError> {
    let unsigned = RolesAnywhereError::Unsigned;
    let body = serde_json::to_string(&Asked {
        duration_seconds: config.role.duration.as_secs(),
        profile_arn: &config.profile_arn,
        role_arn: &config.role.role_arn,
        role_session_name: config.role.name.as_deref(),
        trust_anchor_arn: &config.trust_anchor_arn,
    });
    let body = body.map_err(|_| unsigned("the request cannot be written"))?;
    let timestamp = OffsetDateTime::from(now).format(TIMESTAMP);
    let timestamp = timestamp.map_err(|_| unsigned("the time cannot be written"))?;
    let authority = config.endpoint.authority();
    let authority = authority.ok_or(unsigned("the endpoint has no host"))?;

    // In the order of their names, as they are signed.
    let mut signed = vec![
        (CONTENT_TYPE, "application/json".to_owned()),
        (HOST, authority.to_string()),
        (HeaderName::from_static("x-amz-date"), timestamp.clone()),
        (HeaderName::from_static("x-amz-x509"), signer.encoded()),
    ];
    if let Some(chain) = signer.encoded_chain() {
        signed.push((HeaderName::from_static("x-amz-x509-chain"), chain));
    }
    let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let mut canonical = format!("POST\n{}\n\n", config.endpoint.path());
    for (name, value) in &signed {
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    canonical.push_str(&format!("\n{names}\n{}", hash(&body)));

    let algorithm = signer.algorithm();
    let day = timestamp.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/rolesanywhere/aws4_request", config.region);
    let to_sign = format!("{algorithm}\n{timestamp}\n{scope}\n{}", hash(&canonical));
    let signature = signer.sign(&to_sign);
    let signature = signature.ok_or(unsigned("the private key cannot sign"))?;
    let authorization = format!(
        "{algorithm} Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        signer.certificate().serial_decimal(),
        hex::encode(signature)
    );
    signed.push((AUTHORIZATION, authorization));
    let mut headers = HeaderMap::with_capacity(signed.len());
    for (name, value) in signed {
        let value = HeaderValue::try_from(value);
        let mut value = value.map_err(|_| unsigned("a header cannot be written"))?;
        value.set_sensitive(name == AUTHORIZATION);
        headers.insert(name, value);
    }
    Ok((headers, body))
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
