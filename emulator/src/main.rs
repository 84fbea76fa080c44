//! The emulator as a program.

use std::process::ExitCode;

use clap::Parser as _;
use emulator::cli::{Cli, Command};

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
