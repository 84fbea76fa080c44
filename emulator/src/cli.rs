//! The command line: `emulator serve`, a world until it is stopped.
//!
//! In: what the world is to be like, as far as it must be known at the start; what changes meanwhile (faults, limits,
//! clock, tokens) goes over the admin endpoint. Out: how to reach it, on stdout, ready to be sourced.

use std::io::Write as _;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::amp::{HaTracker, Limits, Rate, RemoteWrite2};
use crate::anywhere::{AnywhereConfig, LeafKey, LeafSpec};
use crate::entra::{EntraConfig, TokenVersion};
use crate::world::{Error, Ports, World, WorldConfig};

/// A local AWS for amp-sidecar: OIDC issuer, Entra ID, STS and AMP.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the emulator can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until Ctrl-C.
    Serve(Box<ServeCommand>),
}

/// `emulator serve`.
#[derive(Debug, Args)]
pub struct ServeCommand {
    /// Rehearse an installation: an account without OIDC provider and role, a tenant without application, IAM's API, and a
    /// proxy behind which everything has its real name.
    #[arg(long, conflicts_with_all = ["entra", "machine", "roles_anywhere", "chain", "second_region", "allow_query"])]
    rehearsal: bool,
    /// AWS region to stand in for.
    #[arg(long, default_value = "eu-central-1")]
    region: String,
    /// How long tokens are valid, in seconds; they are renewed at 80 % of it.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    token_life: u64,
    /// How long sessions live, in seconds, whatever is asked for.
    #[arg(long, value_name = "SECONDS")]
    session_life: Option<u64>,
    /// Prometheus remote-write receiver that gets whatever AMP accepts.
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
    /// Let the pod go by way of Entra ID, whose application takes tokens of this version.
    #[arg(long, value_name = "v1|v2", value_parser = token_version)]
    entra: Option<TokenVersion>,
    /// Run the sidecar on a machine whose own identity gets it to AWS: in Azure, with tokens of this version, or at Google.
    #[arg(long, value_name = "azure-v1|azure-v2|google", value_parser = machine, conflicts_with = "entra")]
    machine: Option<MachineKind>,
    /// Serve Entra ID over TLS.
    #[arg(long, requires = "entra")]
    entra_https: bool,
    /// Stand in for IAM Roles Anywhere: the sidecar has a certificate, with a key of this kind.
    #[arg(long, value_name = "ecdsa|rsa", value_parser = leaf_key, conflicts_with = "entra")]
    roles_anywhere: Option<LeafKey>,
    /// Serve Roles Anywhere over TLS.
    #[arg(long, requires = "roles_anywhere")]
    roles_anywhere_https: bool,
    /// Put two roles of other accounts between the pod's role and the workspace, the second one asking for this
    /// external id.
    #[arg(long, value_name = "EXTERNAL-ID")]
    chain: Option<String>,
    /// Add a workspace in this region, with a role of its own.
    #[arg(long, value_name = "REGION")]
    second_region: Option<String>,
    /// Allow the role AMP's query API, answered by the Prometheus of --forward-to, and the Alertmanager of --alertmanager.
    #[arg(long)]
    allow_query: bool,

    /// The URL of a real Alertmanager, which answers for AMP's.
    #[arg(long, value_name = "URL")]
    alertmanager: Option<String>,
    /// Limits of AMP's instance as JSON, with the names that the admin endpoint's /limits shows; see the emulator's README.
    #[arg(long, value_name = "JSON", value_parser = limits)]
    limits: Option<Limits>,
    /// Samples a second that AMP takes; over it, 429. The burst is by default what comes in a second.
    #[arg(long, value_name = "RATE[:BURST]")]
    ingestion_rate: Option<Rate>,
    /// The largest request, packed or unpacked; over it, 400 "received message larger than max".
    #[arg(long, value_name = "BYTES")]
    max_recv_msg_size: Option<usize>,
    /// How long each write takes AMP, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    write_delay: Option<Duration>,
    /// What AMP does with remote write 2.0: "accepted", "rejected" (415), or "misread" as an empty 1.0 message.
    #[arg(long, value_name = "accepted|rejected|misread")]
    remote_write_2: Option<RemoteWrite2>,
    /// Take one replica of each pair (labels cluster and __replica__), and the other one after so many seconds of silence.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    ha_failover: Option<Duration>,
    /// Series that AMP stores at most.
    #[arg(long, value_name = "NUMBER")]
    max_series: Option<usize>,
    /// The largest request that AWS' front door lets pass, packed; over it, 413.
    #[arg(long, value_name = "BYTES")]
    max_request_bytes: Option<usize>,
    /// How far behind the newest sample an out-of-order sample may be, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    out_of_order_window: Option<Duration>,
    /// ServeCommand STS over TLS too.
    #[arg(long)]
    sts_https: bool,
    /// Port of the issuer; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    issuer_port: u16,
    /// Port of STS; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    sts_port: u16,
    /// Port of AMP; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    amp_port: u16,
    /// Port of Entra ID; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    entra_port: u16,
    /// Port of Roles Anywhere; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    roles_anywhere_port: u16,
    /// Port of the admin endpoint; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    admin_port: u16,
}

impl ServeCommand {
    /// Serves until Ctrl-C or SIGTERM.
    ///
    /// # Errors
    /// When the world does not start.
    pub async fn run(self) -> Result<(), Error> {
        let world = World::start(self.config()).await?;
        // The reader of stdout may be gone; keep serving.
        let _written = std::io::stdout().write_all(greeting(&world).as_bytes());
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Error::Signal),
            _ = terminate.recv() => Ok(()),
        }
    }

    /// The world that the options describe.
    #[must_use]
    pub fn config(self) -> WorldConfig {
        if self.rehearsal {
            let mut config = WorldConfig::rehearsal();
            config.amp.region = self.region;
            config.amp.forward_to = self.forward_to;
            return config;
        }
        let base = match (self.entra, self.machine, self.roles_anywhere) {
            (_, Some(MachineKind::Azure(version)), _) => WorldConfig::on_azure(version),
            (_, Some(MachineKind::Google), _) => WorldConfig::at_google(),
            (Some(version), None, _) => WorldConfig::through_entra(EntraConfig {
                https: self.entra_https,
                ..EntraConfig::new(version)
            }),
            (None, None, Some(key)) => WorldConfig::through_roles_anywhere(AnywhereConfig {
                leaf: LeafSpec {
                    key,
                    ..LeafSpec::default()
                },
                https: self.roles_anywhere_https,
            }),
            (None, None, None) => WorldConfig::default(),
        };
        let base = match &self.chain {
            Some(external_id) => base.two_hops(external_id),
            None => base,
        };
        let base = match &self.second_region {
            Some(region) => base.second_region(region),
            None => base,
        };
        let mut config = WorldConfig {
            role_may_query: self.allow_query,
            session_life: self.session_life.map(Duration::from_secs),
            sts_https: self.sts_https,
            ports: Ports {
                issuer: self.issuer_port,
                sts: self.sts_port,
                amp: self.amp_port,
                entra: self.entra_port,
                roles_anywhere: self.roles_anywhere_port,
                admin: self.admin_port,
                ..Ports::default()
            },
            ..base
        };
        config.amp.region = self.region;
        config.amp.forward_to = self.forward_to;
        config.amp.alertmanager = self.alertmanager;
        let amp = &mut config.amp;
        amp.max_series = self.max_series.unwrap_or(amp.max_series);
        amp.max_request_bytes = self.max_request_bytes.unwrap_or(amp.max_request_bytes);
        amp.out_of_order_window = self.out_of_order_window.unwrap_or(amp.out_of_order_window);
        let mut limits = self.limits.unwrap_or_default();
        limits.ingestion_rate = self.ingestion_rate.or(limits.ingestion_rate);
        limits.max_recv_msg_size = self.max_recv_msg_size.unwrap_or(limits.max_recv_msg_size);
        limits.write_delay = self.write_delay.unwrap_or(limits.write_delay);
        limits.remote_write_2 = self.remote_write_2.unwrap_or(limits.remote_write_2);
        if let Some(failover_timeout) = self.ha_failover {
            limits.ha_tracker = Some(HaTracker {
                failover_timeout,
                ..limits.ha_tracker.unwrap_or_default()
            });
        }
        amp.limits = limits;
        config.token.life = Duration::from_secs(self.token_life);
        config
    }
}

fn limits(text: &str) -> Result<Limits, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "it is a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn token_version(text: &str) -> Result<TokenVersion, &'static str> {
    match text {
        "v1" => Ok(TokenVersion::V1),
        "v2" => Ok(TokenVersion::V2),
        _ => Err("it is v1 or v2"),
    }
}

/// A cloud, and in Azure the version of the tokens.
#[derive(Debug, Clone, Copy)]
enum MachineKind {
    Azure(TokenVersion),
    Google,
}

fn machine(text: &str) -> Result<MachineKind, &'static str> {
    match text {
        "azure-v1" => Ok(MachineKind::Azure(TokenVersion::V1)),
        "azure-v2" => Ok(MachineKind::Azure(TokenVersion::V2)),
        "google" => Ok(MachineKind::Google),
        _ => Err("it is azure-v1, azure-v2 or google"),
    }
}

fn leaf_key(text: &str) -> Result<LeafKey, &'static str> {
    match text {
        "ecdsa" => Ok(LeafKey::EcdsaP256),
        "rsa" => Ok(LeafKey::Rsa),
        _ => Err("it is ecdsa or rsa"),
    }
}

/// How to reach a world, ready to be sourced.
#[must_use]
pub fn greeting(world: &World) -> String {
    if world.is_rehearsal() {
        return exports(world);
    }
    let mut text = format!(
        "issuer  {}\nSTS     {}\nAMP     {}\nadmin   {}\n",
        world.issuer_url(),
        world.sts_url(),
        world.amp_url(),
        world.admin_url(),
    );
    if let Some(authority) = world.entra_url() {
        text.push_str(&format!("Entra   {authority}\n"));
    }
    if let Some(url) = world.anywhere_url() {
        text.push_str(&format!("Roles Anywhere {url}\n"));
    }
    for other in world.others() {
        text.push_str(&format!(
            "AMP     {} (region {}, {})\n",
            other.url(),
            other.region(),
            other.role_arn()
        ));
    }
    text.push_str("\n# for amp-sidecar:\n");
    text.push_str(&exports(world));
    text.push_str(&format!(
        "\n# for example:\n#   curl {admin}/state\n#   curl -X PUT {admin}/faults/sts -d '[{{\"for\": 20, \"do\": \"hang\"}}]'\n",
        admin = world.admin_url()
    ));
    text
}

fn exports(world: &World) -> String {
    let environment = world.environment().into_iter();
    environment
        .map(|(name, value)| format!("export {name}='{value}'\n"))
        .collect()
}
