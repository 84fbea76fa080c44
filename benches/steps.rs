//! Single steps of a batch, to be counted under valgrind.
//!
//! ```text
//! steps                   names the cases
//! steps CASE TIMES        takes the case so many times
//! ```
//!
//! A case prepares what its step is given, once, and then takes the step again and again; each is a step of the sidecar's own,
//! on what senders, AMP and STS really say. The difference between two runs, which `emulator instructions` counts, is the step alone.
//! `scripts/instructions` builds and runs it all. Gungraun was not taken: its runner takes longer to install than all of this to run.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, SystemTime};

use amp_sidecar::clock::Clock;
use amp_sidecar::config::{Network, RoleSession};
use amp_sidecar::credentials::sts::Sts;
use amp_sidecar::net::client::HttpResponse;
use amp_sidecar::net::tls::Trust;
use amp_sidecar::net::transport::{NetworkTransport, Transport};
use amp_sidecar::outcome::amp_response::AmpResponse;
use amp_sidecar::remote_write::content_type::WriteProtocol;
use amp_sidecar::remote_write::contents::Contents;
use amp_sidecar::remote_write::inspect::{self, Inspected, Inspector, Version};
use amp_sidecar::remote_write::payload::Payload;
use amp_sidecar::remote_write::split;
use amp_sidecar::sigv4::batch::BatchSigner;
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use prost::Message as _;
use remote_write_proto::{v1, v2};

/// What a real Prometheus sent: 500 samples.
const REAL: &[u8] = include_bytes!("../tests/data/bodies/prometheus-2.42-0026.bin");
const SAMPLES: u64 = 500;
/// More than it unpacks to.
const ROOM: usize = 1 << 20;
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Done = Result<(), Box<dyn Error>>;
type Case = (&'static str, fn(u32) -> Done);

const CASES: [Case; 10] = [
    ("inspect_v1", inspect_v1),
    ("inspect_v2", inspect_v2),
    ("sign", sign),
    ("sign_with_new_key", sign_with_new_key),
    ("split_v1", split_v1),
    ("split_v2", split_v2),
    ("verdict_stored", verdict_stored),
    ("verdict_refused", verdict_refused),
    ("verdict_denied", verdict_denied),
    ("sts_answer", sts_answer),
];

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = arguments.as_slice() else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    let cases = HashMap::from(CASES);
    let case = cases.get(name.as_str()).ok_or("there is no such case")?;
    case(times.parse()?)
}

// === inspect ===

fn inspect_v1(times: u32) -> Done {
    inspected(REAL, Version::V1, times)
}

fn inspect_v2(times: u32) -> Done {
    inspected(&packed(&in_version_2()?)?, Version::V2, times)
}

fn inspected(body: &[u8], version: Version, times: u32) -> Done {
    let mut inspector = Inspector::new();
    for _ in 0..times {
        match inspector.inspect(black_box(body), version, ROOM)? {
            Inspected::Counted(Contents { samples, .. }) if samples == SAMPLES => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}

// === sign ===

/// As every batch but the first of a day.
fn sign(times: u32) -> Done {
    signed(times, Duration::from_millis(100))
}

/// As the first batch of each day, or of new credentials.
fn sign_with_new_key(times: u32) -> Done {
    signed(times, A_DAY)
}

/// Signs again and again, each so much later than the one before.
fn signed(times: u32, apart: Duration) -> Done {
    let url = "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-0b1c1d2e-3f40-4a5b-8c6d-7e8f90a1b2c3/api/v1/remote_write";
    let signer = BatchSigner::new("eu-central-1", &url.parse()?)?;
    let media = WriteProtocol {
        version: Version::V1,
        content_type: HeaderValue::from_static("application/x-protobuf"),
        write_version: HeaderValue::from_static("0.1.0"),
    };
    let batch = Payload::new(media, Bytes::from_static(REAL), Contents::default());
    // AWS' tokens have some 1,100 characters.
    let token = Some("IQoJb3JpZ2luX2VjEA".repeat(61));
    let (id, secret) = (
        "ASIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    );
    let identity = Identity::from(Credentials::new(id, secret, token, None, "steps"));
    let mut now = SystemTime::UNIX_EPOCH + 20_000 * A_DAY;
    for _ in 0..times {
        now += apart;
        black_box(signer.sign(black_box(&batch), &identity, now)?);
    }
    Ok(())
}

// === split ===

fn split_v1(times: u32) -> Done {
    halved(&message()?, Version::V1, times)
}

fn split_v2(times: u32) -> Done {
    halved(&in_version_2()?, Version::V2, times)
}

/// As where AMP finds the body too large.
fn halved(message: &[u8], version: Version, times: u32) -> Done {
    let limits = split::PartLimits {
        packed: packed(message)?.len() / 2,
        unpacked: None,
    };
    for _ in 0..times {
        let parts = split::split(black_box(message), version, limits)?;
        let samples: u64 = parts.iter().map(|part| part.contents.samples).sum();
        if parts.len() < 2 || samples != SAMPLES {
            return Err(format!("{parts:?}").into());
        }
    }
    Ok(())
}

// === verdict ===

fn verdict_stored(times: u32) -> Done {
    judged(StatusCode::OK, &[], b"", "stored", times)
}

fn verdict_refused(times: u32) -> Done {
    let body =
        b"user=111122223333_ws-0b1c: err: out of order sample. timestamp=2027-01-15T09:30:00Z, \
        series={__name__=\"http_requests_total\", instance=\"10.0.0.7:9090\", job=\"api\"}\n";
    judged(StatusCode::BAD_REQUEST, &[], body, "refused", times)
}

fn verdict_denied(times: u32) -> Done {
    let headers = [("x-amzn-errortype", "AccessDeniedException")];
    let body = br#"{"Message":"User: arn:aws:sts::111122223333:assumed-role/amp/pod is not authorized to perform: aps:RemoteWrite on resource: arn:aws:aps:eu-central-1:111122223333:workspace/ws-1"}"#;
    judged(
        StatusCode::FORBIDDEN,
        &headers,
        body,
        "access_denied",
        times,
    )
}

/// From AMP's answer to ours.
fn judged(
    status: StatusCode,
    more: &[(&'static str, &'static str)],
    body: &[u8],
    expected: &str,
    times: u32,
) -> Done {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in more {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    let workspace = "arn:aws:aps:eu-central-1:111122223333:workspace/ws-1";
    for _ in 0..times {
        let reply = AmpResponse::new(status, black_box(&headers), black_box(body), true);
        let verdict = reply.class(workspace, "/path").verdict();
        if verdict.name() != expected {
            return Err(verdict.to_string().into());
        }
        black_box(verdict.answer());
    }
    Ok(())
}

// === credentials ===

fn sts_answer(times: u32) -> Done {
    let transport = NetworkTransport {
        trust: Trust::new(&[])?,
        network: Network::default(),
    };
    let client = transport.client();
    let endpoint = "https://sts.eu-central-1.amazonaws.com/".parse()?;
    let sts = Sts::new(endpoint, "eu-central-1".to_owned(), client, Clock::system());
    let session = RoleSession {
        duration: Duration::from_secs(3600),
        ..RoleSession::plain(
            "arn:aws:iam::111122223333:role/amp".to_owned(),
            Some("pod".to_owned()),
        )
    };
    let answer = HttpResponse::new(StatusCode::OK, None, session_answer().into_bytes());
    for _ in 0..times {
        black_box(sts.read(black_box(&answer), &session, "token")?);
    }
    Ok(())
}

fn session_answer() -> String {
    let token = "IQoJb3JpZ2luX2VjEA".repeat(61);
    format!(
        r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:pod</AssumedRoleId>
      <Arn>arn:aws:sts::111122223333:assumed-role/amp/pod</Arn>
    </AssumedRoleUser>
    <Provider>arn:aws:iam::111122223333:oidc-provider/westeurope.oic.prod-aks.azure.com/tenant/cluster/</Provider>
    <Credentials>
      <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY</SecretAccessKey>
      <SessionToken>{token}</SessionToken>
      <Expiration>2099-01-01T00:00:00Z</Expiration>
    </Credentials>
    <SubjectFromWebIdentityToken>system:serviceaccount:monitoring:prometheus</SubjectFromWebIdentityToken>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata>
    <RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId>
  </ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>
"#
    )
}

// === bodies ===

fn message() -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(inspect::unpack(REAL, ROOM)?.ok_or("it unpacks to more")?)
}

/// The same series as a sender of version 2 would write them: none that does is a package of Debian.
fn in_version_2() -> Result<Vec<u8>, Box<dyn Error>> {
    let request = v1::WriteRequest::decode(message()?.as_slice())?;
    Ok(v2::Request::from(request).encode_to_vec())
}

fn packed(message: &[u8]) -> Result<Vec<u8>, snap::Error> {
    snap::raw::Encoder::new().compress_vec(message)
}
