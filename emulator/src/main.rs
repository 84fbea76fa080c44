//! Command line of the emulator.
//!
//! `serve` starts a world, prints how to reach it and runs until it is stopped; everything that changes meanwhile (faults,
//! clock, tokens) goes over the admin endpoint.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A local AWS for amp-sidecar: OIDC issuer, Entra ID, STS and AMP.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until Ctrl-C.
    Serve(Box<serve::ServeCommand>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Serve(options) = Cli::parse().command;
    match options.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut reasons = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                reasons.push_str(&format!(": {error}"));
                source = error.source();
            }
            eprintln!("emulator: {reasons}");
            ExitCode::FAILURE
        }
    }
}
