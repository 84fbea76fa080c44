//! What this AMP is: where it stands, who may write, and its quotas.

use std::time::Duration;

use http::StatusCode;

use super::limits::Limits;

/// One workspace in one region, with AMP's documented quotas as defaults.
#[derive(Clone, Debug)]
pub struct AmpConfig {
    /// What signatures must be scoped to.
    pub region: String,
    /// The account that owns the workspace. Roles of other accounts may never write.
    pub account: String,
    /// The one workspace that exists.
    pub workspace_id: String,
    /// Role ARNs that are allowed `aps:RemoteWrite`, at the start; see [`Amp::allow_roles`](super::Amp::allow_roles).
    pub allowed_roles: Vec<String>,
    /// Role ARNs that are allowed the actions of the query API and the Alertmanager, at the start; see
    /// [`Amp::allow_queries`](super::Amp::allow_queries).
    pub query_roles: Vec<String>,
    /// The URL of a Prometheus remote-write receiver that gets a copy of whatever is accepted, and that answers
    /// queries where the URL ends in `/api/v1/write`.
    pub forward_to: Option<String>,
    /// The URL of an Alertmanager that answers for this workspace's.
    pub alertmanager: Option<String>,
    /// The largest body, compressed.
    pub max_request_bytes: usize,
    /// Series in all; the next one is refused.
    pub max_series: usize,
    /// 400 and 429 have both been seen for the series limit.
    pub series_limit_status: StatusCode,
    /// How far behind the newest sample an out-of-order sample may be.
    pub out_of_order_window: Duration,
    /// How far behind the clock any sample may be.
    pub max_sample_age: Duration,
    /// Labels of one series, its name included.
    pub max_labels: usize,
    /// Names and values of one series' labels together.
    pub max_label_bytes: usize,
    /// Answers version 2 with `X-Prometheus-Remote-Write-*-Written`. Whether AMP does so is not documented.
    pub report_written: bool,
    /// The status of a version 2 batch that is stored. The engine says 204; AMP's documentation knows 200 alone.
    pub version_2_status: StatusCode,
    /// Limits and behavior of the instance, at the start; see [`Amp::set_limits`](super::Amp::set_limits).
    pub limits: Limits,
}

impl Default for AmpConfig {
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            account: "123456789012".into(),
            workspace_id: "ws-12345678-abcd-1234-abcd-123456789012".into(),
            allowed_roles: Vec::new(),
            query_roles: Vec::new(),
            forward_to: None,
            alertmanager: None,
            max_request_bytes: 1_000_000,
            max_series: 50_000_000,
            series_limit_status: StatusCode::BAD_REQUEST,
            out_of_order_window: Duration::from_secs(60),
            max_sample_age: Duration::from_secs(60 * 60),
            max_labels: 150,
            max_label_bytes: 7_000,
            report_written: true,
            version_2_status: StatusCode::OK,
            limits: Limits::default(),
        }
    }
}

impl AmpConfig {
    /// The ARN of a workspace in this account and region, whether it exists or not.
    pub(super) fn workspace_arn(&self, id: &str) -> String {
        let partition = if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        };
        format!(
            "arn:{partition}:aps:{}:{}:workspace/{id}",
            self.region, self.account
        )
    }

    /// How AMP names the tenant in the texts of its ingesters.
    pub(super) fn tenant(&self) -> String {
        format!("{}_{}", self.account, self.workspace_id)
    }
}
