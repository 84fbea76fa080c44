//! One AMP, one role that may write, one session of it, and a clock that stands still.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use emulator::{
    amp::{
        Amp, AmpConfig, Labels,
        proto::{v1, v2},
    },
    sessions::{Session, Sessions},
};
use http::{HeaderMap, Request, Response, StatusCode};
use prost::Message;

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/writer";
pub(crate) const HOST: &str = "aps-workspaces.us-east-1.amazonaws.com";
pub(crate) const V1: &str = "application/x-protobuf";
pub(crate) const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

pub(crate) struct World {
    pub(crate) amp: Amp,
    pub(crate) sessions: Sessions,
    pub(crate) session: Session,
    pub(crate) now: SystemTime,
}

/// How a request is signed. The default is what a good sidecar does.
#[derive(Clone)]
pub(crate) struct Signing {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) region: &'static str,
    pub(crate) service: &'static str,
    pub(crate) at: SystemTime,
    pub(crate) session: Session,
    pub(crate) token: bool,
    pub(crate) checksum: bool,
    pub(crate) headers: Vec<(&'static str, String)>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(AmpConfig::default())
    }

    pub(crate) fn with(config: AmpConfig) -> Self {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_000);
        Self::at(config, now)
    }

    pub(crate) fn at(mut config: AmpConfig, now: SystemTime) -> Self {
        config.allowed_roles.push(ROLE.into());
        let sessions = Sessions::default();
        let session = sessions.issue(ROLE, "pod", Duration::from_secs(900), now);
        Self {
            amp: Amp::new(config, sessions.clone()),
            sessions,
            session,
            now,
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(
            self.now
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_millis(),
        )
        .unwrap()
    }

    /// What an ingester's words are as the sender receives them.
    pub(crate) fn ingester_says(&self, text: &str) -> String {
        format!(
            "maxFailure (quorum) on a given error family, addr=10.0.3.17:9095 state=ACTIVE zone=, rpc error: code = \
             Code(400) desc = user=123456789012_{}: {text}",
            self.amp.config().workspace_id
        )
    }

    pub(crate) fn path(&self) -> String {
        format!(
            "/workspaces/{}/api/v1/remote_write",
            self.amp.config().workspace_id
        )
    }

    pub(crate) fn signing(&self) -> Signing {
        Signing {
            method: "POST",
            target: self.path(),
            region: "us-east-1",
            service: "aps",
            at: self.now,
            session: self.session.clone(),
            token: true,
            checksum: true,
            headers: vec![
                ("content-encoding", "snappy".into()),
                ("content-type", V1.into()),
            ],
        }
    }

    pub(crate) async fn handle(&self, request: Request<Bytes>) -> Answer {
        Answer::new(self.amp.handle(self.now, request).await)
    }

    /// Signs and sends a body.
    pub(crate) async fn send(&self, content_type: &str, body: impl Into<Bytes>) -> Answer {
        let mut signing = self.signing();
        signing.headers[1].1 = content_type.into();
        self.handle(signing.sign(body)).await
    }

    pub(crate) async fn send_v1(&self, series: Vec<v1::TimeSeries>) -> Answer {
        self.send(
            V1,
            packed(&v1::WriteRequest {
                timeseries: series,
                metadata: Vec::new(),
            }),
        )
        .await
    }

    pub(crate) async fn send_v2(&self, request: &v2::Request) -> Answer {
        self.send(V2, packed(request)).await
    }
}

impl Signing {
    pub(crate) fn sign(&self, body: impl Into<Bytes>) -> Request<Bytes> {
        let body = body.into();
        let mut request = Request::builder()
            .method(self.method)
            .uri(&self.target)
            .header("host", HOST);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(body.clone()).unwrap();
        let token = self.token.then(|| self.session.session_token.clone());
        let (key, secret) = (&self.session.access_key_id, &self.session.secret_access_key);
        let identity = Credentials::new(key, secret, token, None, "test").into();
        let mut settings = SigningSettings::default();
        if self.checksum {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.at)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = format!("https://{HOST}{}", self.target);
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable =
            SignableRequest::new(self.method, uri, headers, SignableBody::Bytes(&body)).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

impl Answer {
    fn new(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            parts.headers.contains_key("x-amzn-requestid"),
            "no request id on {}: {text}",
            parts.status
        );
        Self {
            status: parts.status,
            headers: parts.headers,
            text,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// `[samples, histograms, exemplars]` of the 2.0 headers.
    pub(crate) fn written(&self) -> Option<[u64; 3]> {
        let read = |kind| {
            Some(
                self.header(&format!("x-prometheus-remote-write-{kind}-written"))?
                    .parse()
                    .unwrap(),
            )
        };
        Some([read("samples")?, read("histograms")?, read("exemplars")?])
    }

    pub(crate) fn assert_ok(&self) -> &Self {
        assert_eq!((self.status, self.text.as_str()), (StatusCode::OK, ""));
        self
    }

    /// An answer of the ingest layer.
    pub(crate) fn assert_plain(&self, status: u16, text: &str) -> &Self {
        assert_eq!(
            (self.status.as_u16(), self.text.as_str()),
            (status, format!("{text}\n").as_str())
        );
        assert_eq!(self.header("x-amzn-errortype"), None);
        self
    }

    /// An answer of the AWS layer: the error type, and how its text begins.
    pub(crate) fn assert_aws(&self, status: u16, kind: &str, key: &str, begins: &str) -> &Self {
        assert_eq!(
            (self.status.as_u16(), self.header("x-amzn-errortype")),
            (status, Some(kind)),
            "{}",
            self.text
        );
        let body: serde_json::Value = serde_json::from_str(&self.text).unwrap();
        let message = body[key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key} in {body}"));
        assert!(message.starts_with(begins), "{message}");
        self
    }
}

pub(crate) fn packed(message: &impl Message) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(&message.encode_to_vec())
        .unwrap()
}

pub(crate) fn label(name: &str, value: &str) -> v1::Label {
    v1::Label {
        name: name.into(),
        value: value.into(),
    }
}

/// A series of one metric with one label.
pub(crate) fn series(metric: &str, samples: &[(i64, f64)]) -> v1::TimeSeries {
    v1::TimeSeries {
        labels: vec![label("__name__", metric), label("job", "test")],
        samples: samples
            .iter()
            .map(|&(timestamp, value)| v1::Sample { value, timestamp })
            .collect(),
        ..Default::default()
    }
}

pub(crate) fn named(metric: &str) -> Labels {
    Labels::new([("__name__", metric), ("job", "test")])
}
