//! The pure half of Signature Version 4: a request's parts in, its canonical request and string to sign out.
//!
//! Written from "Create a signed AWS API request" in the IAM user guide. It knows nothing of sessions, clocks or error
//! texts, which is why the published vectors can be run through exactly the code that judges a real request.

use http::HeaderMap;
use sha2::{Digest, Sha256};

/// How often a path is percent-encoded before it is hashed.
///
/// Every service but S3 encodes the path once more than the wire does. The published vectors show the single form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathEncoding {
    /// What the wire holds, with only unsafe bytes encoded.
    Once,
    /// The wire's form encoded again: `%20` becomes `%2520`.
    Twice,
}

/// The parts of a request that a signature covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// Names in the order of the `SignedHeaders` parameter.
    pub(super) signed_headers: &'a [String],
    /// Hexadecimal SHA-256 of the body.
    pub(super) payload_hash: &'a str,
}

/// The canonical request. Bytes, because header values need not be UTF-8.
pub(super) fn canonical_request(parts: &Parts<'_>, encoding: PathEncoding) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    for line in [
        parts.method,
        &canonical_path(parts.path, encoding),
        &canonical_query(parts.query),
    ] {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    for name in parts.signed_headers {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        for (index, value) in parts.headers.get_all(name.as_str()).iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_collapsed(&mut out, value.as_bytes());
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(parts.signed_headers.join(";").as_bytes());
    out.push(b'\n');
    out.extend_from_slice(parts.payload_hash.as_bytes());
    out
}

/// The string to sign for a canonical request.
pub(super) fn string_to_sign(
    algorithm: &str,
    timestamp: &str,
    scope: &str,
    canonical_request: &[u8],
) -> String {
    let digest = hex::encode(Sha256::digest(canonical_request));
    format!("{algorithm}\n{timestamp}\n{scope}\n{digest}")
}

/// Empty and `.` segments go, `..` takes its parent along; a slash at the end stays.
fn canonical_path(path: &str, encoding: PathEncoding) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    let mut out = String::with_capacity(path.len() + 16);
    for segment in &kept {
        out.push('/');
        push_encoded(&mut out, segment.as_bytes(), encoding == PathEncoding::Once);
    }
    if kept.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

/// Every name and value decoded and encoded again in the one canonical way, then sorted.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (recoded(name), recoded(value))
        })
        .collect();
    pairs.sort();
    let joined: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    joined.join("&")
}

fn recoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        let byte = escaped
            .and_then(|digits| hex::decode(digits).ok())
            .and_then(|bytes| bytes.first().copied());
        match byte {
            Some(byte) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    let mut out = String::with_capacity(text.len());
    push_encoded(&mut out, &decoded, false);
    out
}

fn push_encoded(out: &mut String, bytes: &[u8], keep_percent: bool) {
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte))
            }
            b'%' if keep_percent => out.push('%'),
            _ => {
                out.push('%');
                out.push_str(&hex::encode_upper([byte]));
            }
        }
    }
}

/// Outer spaces go, inner runs become one space.
fn push_collapsed(out: &mut Vec<u8>, value: &[u8]) {
    let words = value
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}
