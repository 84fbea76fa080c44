//! Command line of the emulator.
//!
//! `serve` starts a world, tells how to reach it and runs until it is told to
//! stop; everything that changes meanwhile (faults, clock, tokens) goes over
//! the admin endpoint. `demo` runs a world, the sidecar and a sender by itself,
//! `prove` many of them, with a fault each; `compare` measures it beside others.

mod measure;
mod prove;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use emulator::amp::{HaTracker, Limits, Rate, RemoteWrite2};
use emulator::demo::{self, Length, SenderChoice, Summary, Wanted};
use emulator::entra::{EntraConfig, TokenVersion};
use emulator::peers::sidecar::Program;
use emulator::soak::{self, SoakError};
use emulator::world::{Error, Ports, World, WorldConfig};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long the demo lasts where nobody sits before it to end it.
const UNATTENDED: Duration = Duration::from_secs(60);

/// A local AWS for amp-sidecar: OIDC issuer, STS and AMP.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until Ctrl-C.
    Serve(Serve),
    /// Show that nothing is lost while tokens rotate, credentials run out, STS fails and AMP refuses.
    Demo(Demo),
    /// Let a crowd send for hours through faults at random, and see that nothing grows and nothing is lost.
    Soak(Soak),
    /// Prove with real senders that no fault costs a sample.
    #[command(alias = "matrix")]
    Prove(prove::Prove),
    /// Measure what amp-sidecar costs beside other proxies; benches/compare fetches them before.
    Compare(measure::Compare),
    /// Count the instructions of a batch under valgrind; scripts/instructions holds them against a baseline.
    Instructions(measure::Instructions),
}

#[derive(Debug, Args)]
struct Serve {
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
    /// Serve Entra ID over TLS.
    #[arg(long, requires = "entra")]
    entra_https: bool,
    /// Put two roles of other accounts between the pod's role and the workspace, the second one asking for this
    /// external id.
    #[arg(long, value_name = "EXTERNAL-ID")]
    chain: Option<String>,
    /// Add a workspace in this region, with a role of its own.
    #[arg(long, value_name = "REGION")]
    second_region: Option<String>,
    /// Allow the role AMP's query API, answered by the Prometheus of --forward-to.
    #[arg(long)]
    allow_query: bool,
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
    /// Serve STS over TLS too.
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
    /// Port of the admin endpoint; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    admin_port: u16,
}

#[derive(Debug, Args)]
struct Demo {
    /// How long, as 30s or 5m; by default until Ctrl-C, and 60s where stdout is no terminal.
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Length>,
    /// The Prometheus that sends, or "none" for the built-in sender; by default the one on the PATH, if there is one.
    #[arg(long, value_name = "PATH|none")]
    prometheus: Option<PathBuf>,
    /// The amp-sidecar binary; by default it is built from this workspace.
    #[arg(long, value_name = "PATH")]
    sidecar: Option<PathBuf>,
    /// How many series are sent.
    #[arg(long, default_value_t = 2000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    series: u32,
    /// Print the summary as one JSON object on stdout, and progress on stderr.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Soak {
    /// How long, as 30s, 20m or 8h.
    #[arg(long = "for", value_name = "TIME", default_value = "20m")]
    length: Length,
    /// How many send, each by a connection of its own.
    #[arg(long, default_value_t = 1000, value_name = "NUMBER")]
    senders: usize,
    /// What decides about faults and pauses.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// The amp-sidecar binary; by default cargo builds it.
    #[arg(long, value_name = "PATH")]
    sidecar: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => match serve(options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Command::Demo(options) => match demo(&options).await {
            Ok(summary) => options.tell(&summary),
            Err(error) => failed(&error),
        },
        Command::Soak(options) => tokio::select! {
            // Ending here and not by the signal, so that the sidecar ends too.
            _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
            soaked = options.run() => soaked.unwrap_or_else(|error| failed(&error)),
        },
        Command::Prove(options) => tokio::select! {
            // Ending here and not by the signal, so that every child ends too.
            _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
            proved = options.run() => proved.unwrap_or_else(|error| failed(&error)),
        },
        Command::Compare(options) => tokio::select! {
            _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
            compared = options.run() => compared.unwrap_or_else(|error| failed(&error)),
        },
        Command::Instructions(options) => {
            options.run().await.unwrap_or_else(|error| failed(&error))
        }
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    let mut reasons = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        reasons.push_str(&format!(": {error}"));
        source = error.source();
    }
    eprintln!("emulator: {reasons}");
    ExitCode::FAILURE
}

async fn serve(options: Serve) -> Result<(), Error> {
    let world = World::start(options.config()).await?;
    // Whoever reads may have left; serving goes on all the same.
    let _written = std::io::stdout().write_all(greeting(&world).as_bytes());
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Error::Signal),
        _ = terminate.recv() => Ok(()),
    }
}

async fn demo(options: &Demo) -> Result<Summary, demo::DemoError> {
    let signals = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let signals: Result<Vec<_>, _> = signals.into_iter().map(signal).collect();
    let (told, wanted) = watch::channel(Wanted::More);
    drop(tokio::spawn(follow(signals.map_err(Error::Signal)?, told)));
    demo::run(&options.options(), wanted).await
}

/// The first signal ends the demo, the second one at once.
async fn follow(mut signals: Vec<Signal>, told: watch::Sender<Wanted>) {
    for wanted in [Wanted::End, Wanted::Now] {
        std::future::poll_fn(|context| {
            if signals
                .iter_mut()
                .any(|signal| signal.poll_recv(context).is_ready())
            {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        told.send_replace(wanted);
    }
}

impl Soak {
    async fn run(self) -> Result<ExitCode, SoakError> {
        let options = soak::Options {
            program: Program::sidecar(self.sidecar.as_deref()).await?,
            length: self.length.0,
            senders: self.senders,
            seed: self.seed,
        };
        let report = soak::soak(&options, |reading| eprintln!("{reading}")).await?;
        // Whoever reads may have left; the exit code tells all the same.
        let _written = writeln!(std::io::stdout(), "{report}");
        Ok(if report.broken_promises().is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl Demo {
    fn options(&self) -> demo::Options {
        let attended = std::io::stdout().is_terminal();
        demo::Options {
            sidecar: self.sidecar.clone(),
            sender: match &self.prometheus {
                None => SenderChoice::Any,
                Some(none) if none.as_os_str() == "none" => SenderChoice::BuiltIn,
                Some(path) => SenderChoice::Prometheus(path.clone()),
            },
            length: self
                .length
                .map(|length| length.0)
                .or((!attended).then_some(UNATTENDED)),
            series: usize::try_from(self.series).unwrap_or(usize::MAX),
            progress_on_stderr: self.json,
        }
    }

    fn tell(&self, summary: &Summary) -> ExitCode {
        let text = if self.json {
            serde_json::json!(summary).to_string()
        } else {
            summary.to_string()
        };
        // Whoever reads may have left; the exit code tells all the same.
        let _written = writeln!(std::io::stdout(), "{text}");
        if summary.nothing_was_lost() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

impl Serve {
    fn config(self) -> WorldConfig {
        let base = match self.entra {
            Some(version) => WorldConfig::through_entra(EntraConfig {
                https: self.entra_https,
                ..EntraConfig::new(version)
            }),
            None => WorldConfig::default(),
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
                admin: self.admin_port,
            },
            ..base
        };
        config.amp.region = self.region;
        config.amp.forward_to = self.forward_to;
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

fn greeting(world: &World) -> String {
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
    for other in world.others() {
        text.push_str(&format!(
            "AMP     {} (region {}, {})\n",
            other.url(),
            other.region(),
            other.role_arn()
        ));
    }
    text.push_str("\n# for amp-sidecar:\n");
    for (name, value) in world.environment() {
        text.push_str(&format!("export {name}='{value}'\n"));
    }
    text.push_str(&format!(
        "\n# for example:\n#   curl {admin}/state\n#   curl -X PUT {admin}/faults/sts -d '[{{\"for\": 20, \"do\": \"hang\"}}]'\n",
        admin = world.admin_url()
    ));
    text
}
