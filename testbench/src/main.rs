//! Command line of the testbench: demo, durability test, soak and measurements.

mod durability_command;
mod measure;

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use emulator::world::Error;
use testbench::compare::floor;
use testbench::demo::{self, Length, Paint, SenderChoice, Summary, Wanted};
use testbench::peers::sidecar::Program;
use testbench::soak::{self, SoakError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long the demo lasts where nobody sits before it to end it.
const UNATTENDED: Duration = Duration::from_secs(60);

/// Tests and measures amp-sidecar with real senders and an emulated AWS.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show that nothing is lost while tokens rotate, credentials expire, STS fails and AMP refuses. The exit code is 1
    /// where a sample is lost, or where a fault hit nothing.
    Demo(DemoArgs),
    /// Soak test: many senders for hours, random faults; checks that nothing grows and no batch is lost.
    Soak(SoakArgs),
    /// Durability test: show with real senders that no fault costs a sample.
    Durability(durability_command::DurabilityArgs),
    /// Measure what amp-sidecar costs, side by side with other proxies; benches/compare fetches those first.
    Compare(measure::CompareArgs),
    /// The least that a proxy has to do; `compare` starts it.
    #[command(hide = true)]
    Floor {
        /// Where it listens.
        listen: SocketAddr,
    },
    /// Count the instructions of a batch under valgrind; scripts/instructions compares them with a baseline.
    Instructions(measure::InstructionsArgs),
}

#[derive(Debug, Args)]
struct DemoArgs {
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
    /// Also write a picture of it, as SVG; docs/demo.svg is one.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct SoakArgs {
    /// How long, as 30s, 20m or 8h.
    #[arg(long = "for", value_name = "TIME", default_value = "20m")]
    length: Length,
    /// Number of senders, each with a connection of its own.
    #[arg(long, default_value_t = 1000, value_name = "NUMBER")]
    senders: usize,
    /// Seed of the random faults and pauses.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// The amp-sidecar binary; by default cargo builds it.
    #[arg(long, value_name = "PATH")]
    sidecar: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(options) => match demo(&options).await {
            Ok(summary) => options.print(&summary),
            Err(error) => failed(&error),
        },
        Command::Soak(options) => tokio::select! {
            // Ending here and not by the signal, so that the sidecar ends too.
            _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
            soaked = options.run() => soaked.unwrap_or_else(|error| failed(&error)),
        },
        Command::Durability(options) => tokio::select! {
            // Ending here and not by the signal, so that every child ends too.
            _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
            played = options.run() => played.unwrap_or_else(|error| failed(&error)),
        },
        Command::Compare(options) => tokio::select! {
            _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
            compared = options.run() => compared.unwrap_or_else(|error| failed(&error)),
        },
        Command::Floor { listen } => match floor::serve(listen).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
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
    eprintln!("testbench: {reasons}");
    ExitCode::FAILURE
}

async fn demo(options: &DemoArgs) -> Result<Summary, demo::DemoError> {
    let signals = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let signals: Result<Vec<_>, _> = signals.into_iter().map(signal).collect();
    let (wanted_now, wanted) = watch::channel(Wanted::More);
    drop(tokio::spawn(follow(
        signals.map_err(Error::Signal)?,
        wanted_now,
    )));
    demo::run(&options.options(), wanted).await
}

/// The first signal ends the demo, the second one at once.
async fn follow(mut signals: Vec<Signal>, wanted_now: watch::Sender<Wanted>) {
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
        wanted_now.send_replace(wanted);
    }
}

impl SoakArgs {
    async fn run(self) -> Result<ExitCode, SoakError> {
        let options = soak::Options {
            program: Program::sidecar(self.sidecar.as_deref()).await?,
            length: self.length.0,
            senders: self.senders,
            seed: self.seed,
        };
        let report = soak::soak(&options, |reading| eprintln!("{reading}")).await?;
        // The reader of stdout may be gone; the exit code says it too.
        let _written = writeln!(std::io::stdout(), "{report}");
        Ok(if report.broken_promises().is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl DemoArgs {
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

    fn print(&self, summary: &Summary) -> ExitCode {
        let text = if self.json {
            serde_json::json!(summary).to_string()
        } else {
            summary.text(Paint::on(std::io::stdout().is_terminal()))
        };
        // The reader of stdout may be gone; the exit code says it too.
        let _written = writeln!(std::io::stdout(), "{text}");
        if let Some(file) = &self.picture
            && let Err(error) = std::fs::write(file, summary.picture())
        {
            return failed(&error);
        }
        if summary.is_good() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
