//! `amp-sidecar check`: tests every step from token to AMP once and reports the evidence, what fails and how to fix it.
//!
//! In: a configuration, or why there is none. Out: a [`Report`]. Every step runs the code that `run` uses (the token's reader, the connector,
//! the calls to Entra and STS, the whole pipeline of a batch), so a step that passes here passes there; this module only interprets errors. It
//! changes nothing: it requests sessions, and the batch that it writes is empty. It shows no secret: claims of the token, nothing of
//! credentials.
//!
//! A separate implementation with a second client for STS and AMP was rejected: it would find its own faults.

mod amp;
mod by_path;
mod credentials;
mod issuer;
mod prometheus;
pub(crate) mod reach;
mod report;
mod roles_anywhere;
mod settings;
mod step;
mod sts;
mod traces;
mod web_identity;

use std::path::Path;
use std::sync::Arc;

pub use report::Report;
pub use settings::invalid;
pub use step::{Step, StepOutcome, StepRemedy, StepState};

use crate::clock::Clock;
use crate::config::{Config, SourceConfig, TokenConfig, WebIdentityConfig, Workspace};
use crate::credentials::token::{Disk, Token};
use crate::credentials::web_identity::WebIdentity;
use crate::credentials::{Exchange, IdentitySource};
use crate::net::transport::{NetworkTransport, Transport};
use crate::remedies;
use crate::telemetry::Telemetry;

/// Tests the steps of every workspace, and Prometheus' configuration if one is named.
pub async fn run(config: &Config, clock: &Clock, prometheus: Option<&Path>) -> Report {
    let mut report = Report::default();
    let named = by_path::named(config, prometheus);
    let config = named.as_ref().unwrap_or(config);
    report.add("settings", settings::valid(config));
    if let Some(outcome) = by_path::outcome(config) {
        report.add("workspace", outcome);
    }
    for outcome in settings::warnings(&config.warnings) {
        report.add("settings", outcome);
    }
    match NetworkTransport::new(config) {
        Ok(way) => {
            for workspace in &config.workspaces {
                let walk = CheckRun::through(workspace, &way, clock.fork()).await;
                report.steps.extend(walk.steps);
            }
        }
        Err(error) => report.add(
            "certificates",
            StepOutcome::broken(format!("--ca-bundle: {error}"))
                .remedy(remedies::first_hour::SETTING),
        ),
    }
    if let Some(tracing) = &config.tracing {
        report.add("traces", traces::collector(config, tracing).await);
    }
    if let Some(path) = prometheus {
        for (name, outcome) in prometheus::look(path, config) {
            report.add(&name, outcome);
        }
    }
    report
}

/// The findings in a Prometheus configuration alone.
#[cfg(feature = "internals")]
#[must_use]
pub fn prometheus_alone(path: &Path, config: &Config) -> Report {
    let mut report = Report::default();
    for (name, outcome) in prometheus::look(path, config) {
        report.add(&name, outcome);
    }
    report
}

/// The steps of one workspace.
struct CheckRun<'a> {
    workspace: &'a Workspace,
    steps: Vec<Step>,
}

impl<'a> CheckRun<'a> {
    async fn through(workspace: &'a Workspace, way: &NetworkTransport, clock: Clock) -> Self {
        let mut walk = Self {
            workspace,
            steps: Vec::new(),
        };
        if walk.whole_way(way, &clock).await.is_none() {
            walk.name_the_skipped();
        }
        walk
    }

    /// `None` if a step failed that the next one needs.
    async fn whole_way(&mut self, way: &NetworkTransport, clock: &Clock) -> Option<()> {
        let identity = &self.workspace.identity;
        let metrics = Arc::new(Telemetry::new().metrics(&self.workspace.name));
        let exchange = Exchange::new(identity, &Disk, way, clock, &metrics);

        let client = way.client();
        let mut reached = None;
        if let SourceConfig::RolesAnywhere(config) = &identity.source {
            let answered = roles_anywhere::endpoint(config, &client).await;
            let date = self.record(ANYWHERE_ENDPOINT, answered);
            reached = date.map(|date| (&config.endpoint, date));
        }
        let sts = match self.needs_sts() {
            true => self.record(STS_ENDPOINT, reach::sts(identity, &client).await),
            false => None,
        };
        let sts = sts.map(|date| (&identity.sts_endpoint, date));
        if let Some((url, date)) = reached.or(sts) {
            self.record(CLOCK, reach::clock(url, date, clock));
        }
        self.record(AMP_ENDPOINT, reach::amp(self.workspace, way).await);
        let mut session = match (exchange.source(), &identity.source) {
            (IdentitySource::WebIdentity(source), SourceConfig::WebIdentity(config)) => {
                let token = self.web_identity_token(source, config, way, clock).await?;
                sts?;
                let session = sts::web_identity(source, config, &token, clock).await;
                self.record(WEB_IDENTITY, session)?
            }
            (IdentitySource::RolesAnywhere(source), SourceConfig::RolesAnywhere(config)) => {
                let signer = roles_anywhere::certificate(source, clock).await;
                let signer = self.record(CERTIFICATE, signer)?;
                reached?;
                let session = roles_anywhere::session(source, config, &signer, clock).await;
                self.record(CREATE_SESSION, session)?
            }
            (IdentitySource::Container(source), SourceConfig::Container(config)) => {
                let given = credentials::container(source, config, clock).await;
                self.record(CONTAINER, given)?
            }
            (IdentitySource::File(source), SourceConfig::File(config)) => {
                self.record(CREDENTIALS_FILE, credentials::profile(source, config).await)?
            }
            (IdentitySource::StaticKeys(keys), SourceConfig::StaticKeys(_)) => {
                self.record(STATIC_KEYS, credentials::static_keys(keys))?
            }
            // The source was made of its configuration.
            (
                IdentitySource::WebIdentity(_)
                | IdentitySource::RolesAnywhere(_)
                | IdentitySource::Container(_)
                | IdentitySource::File(_)
                | IdentitySource::StaticKeys(_),
                _,
            ) => return None,
        };
        if !identity.hops.is_empty() {
            sts?;
        }
        for (index, hop) in exchange.hops().enumerate() {
            session = self.record(&hop_name(index), sts::hop(hop, &session, clock).await)?;
        }
        let written = amp::empty_write(self.workspace, way, session, clock, metrics).await;
        self.record(WRITE, written)
    }

    /// Whether a token or a role is exchanged.
    fn needs_sts(&self) -> bool {
        let identity = &self.workspace.identity;
        matches!(identity.source, SourceConfig::WebIdentity(_)) || !identity.hops.is_empty()
    }

    /// The token that STS gets.
    async fn web_identity_token(
        &mut self,
        source: &WebIdentity,
        config: &WebIdentityConfig,
        way: &NetworkTransport,
        clock: &Clock,
    ) -> Option<Token> {
        let token = web_identity::token(source, config).await;
        let token = self.record(token_step(&config.token), token)?;
        if let Some(claims) = self.record(TOKEN, web_identity::claims(&token, clock.now())) {
            let client = way.client();
            self.record(ISSUER, issuer::published(&token, &claims, &client).await);
        }
        match &config.token {
            TokenConfig::File(_) | TokenConfig::AzureImds(_) | TokenConfig::GceMetadata(_) => {
                Some(token)
            }
            TokenConfig::Entra(_) => {
                self.record(ENTRA, web_identity::through_entra(source, token).await)
            }
        }
    }

    fn record<T>(&mut self, step: &str, (outcome, value): (StepOutcome, Option<T>)) -> Option<T> {
        self.steps.push(Step {
            workspace: Some(self.workspace.name.clone()),
            step: step.to_owned(),
            outcome,
        });
        value
    }

    fn name_the_skipped(&mut self) {
        let identity = &self.workspace.identity;
        let of_source: &[&str] = match &identity.source {
            SourceConfig::WebIdentity(config) => match config.token {
                TokenConfig::File(_) | TokenConfig::AzureImds(_) | TokenConfig::GceMetadata(_) => {
                    &[TOKEN, ISSUER, WEB_IDENTITY]
                }
                TokenConfig::Entra(_) => &[TOKEN, ISSUER, ENTRA, WEB_IDENTITY],
            },
            SourceConfig::Container(_) => &[CONTAINER],
            SourceConfig::File(_) => &[CREDENTIALS_FILE],
            SourceConfig::StaticKeys(_) => &[STATIC_KEYS],
            SourceConfig::RolesAnywhere(_) => &[CERTIFICATE, CREATE_SESSION],
        };
        let clock = self.needs_sts().then(|| CLOCK.to_owned());
        let mut plan: Vec<String> = clock.into_iter().collect();
        plan.extend(of_source.iter().map(|&step| step.to_owned()));
        plan.extend((0..identity.hops.len()).map(hop_name));
        plan.push(WRITE.to_owned());
        for name in plan {
            if self.steps.iter().all(|step| step.step != name) {
                self.record(&name, (StepOutcome::skipped(EARLIER_FAILED), None::<()>));
            }
        }
    }
}

const STS_ENDPOINT: &str = "STS endpoint";
const ANYWHERE_ENDPOINT: &str = "Roles Anywhere endpoint";
const CLOCK: &str = "clock";
const AMP_ENDPOINT: &str = "AMP endpoint";
const TOKEN_FILE: &str = "token file";
const METADATA: &str = "metadata server";
const TOKEN: &str = "token";
const ISSUER: &str = "issuer";
const ENTRA: &str = "Entra ID";
const CERTIFICATE: &str = "certificate";
const CREATE_SESSION: &str = "CreateSession";
const WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";
const CONTAINER: &str = "container credentials";
const CREDENTIALS_FILE: &str = "credentials file";
const STATIC_KEYS: &str = "static keys";
const WRITE: &str = "empty write";
const EARLIER_FAILED: &str = "an earlier step failed";

/// Who gives the token.
fn token_step(token: &TokenConfig) -> &'static str {
    match token {
        TokenConfig::File(_) | TokenConfig::Entra(_) => TOKEN_FILE,
        TokenConfig::AzureImds(_) | TokenConfig::GceMetadata(_) => METADATA,
    }
}

fn hop_name(index: usize) -> String {
    format!("AssumeRole {}", index + 1)
}
