//! Command line of the emulator: starts a world and tells how to reach it.
//!
//! `serve` runs until it is told to stop. Everything that changes while it
//! runs (faults, clock, tokens) goes over the admin endpoint.

mod prove;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use emulator::world::{self, Ports, World, WorldConfig};

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
    /// Prove with real senders that no fault costs a sample.
    #[command(alias = "matrix")]
    Prove(prove::Prove),
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
    /// Port of the admin endpoint; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    admin_port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => match serve(options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Command::Prove(options) => tokio::select! {
            // Ending here and not by the signal, so that every child ends too.
            _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
            proved = options.run() => proved.unwrap_or_else(|error| failed(&error)),
        },
    }
}

fn failed(error: &dyn Error) -> ExitCode {
    let mut reasons = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        reasons.push_str(&format!(": {error}"));
        source = error.source();
    }
    eprintln!("emulator: {reasons}");
    ExitCode::FAILURE
}

async fn serve(options: Serve) -> Result<(), world::Error> {
    let world = World::start(options.config()).await?;
    // Whoever reads may have left; serving goes on all the same.
    let _written = std::io::stdout().write_all(greeting(&world).as_bytes());
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(world::Error::Signal)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(world::Error::Signal),
        _ = terminate.recv() => Ok(()),
    }
}

impl Serve {
    fn config(self) -> WorldConfig {
        let mut config = WorldConfig {
            session_life: self.session_life.map(Duration::from_secs),
            sts_https: self.sts_https,
            ports: Ports {
                issuer: self.issuer_port,
                sts: self.sts_port,
                amp: self.amp_port,
                admin: self.admin_port,
            },
            ..WorldConfig::default()
        };
        config.amp.region = self.region;
        config.amp.forward_to = self.forward_to;
        config.token.life = Duration::from_secs(self.token_life);
        config
    }
}

fn greeting(world: &World) -> String {
    let mut text = format!(
        "issuer  {}\nSTS     {}\nAMP     {}\nadmin   {}\n\n# for amp-sidecar:\n",
        world.issuer_url(),
        world.sts_url(),
        world.amp_url(),
        world.admin_url(),
    );
    for (name, value) in world.environment() {
        text.push_str(&format!("export {name}='{value}'\n"));
    }
    text.push_str(&format!(
        "\n# for example:\n#   curl {admin}/state\n#   curl -X PUT {admin}/faults/sts -d '[{{\"for\": 20, \"do\": \"hang\"}}]'\n",
        admin = world.admin_url()
    ));
    text
}
