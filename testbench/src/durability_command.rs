//! The `durability` subcommand: its arguments, and where its table goes.
//!
//! Progress goes to stderr, one line a row; the table to stdout; files only
//! where they are asked for. The exit code says whether all is as promised.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use testbench::durability::{
    DurabilityReport, Error, Form, Options, Outcome, durability, rows::rows,
};
use testbench::peers::sidecar::Program;

/// The arguments of `durability`.
#[derive(Debug, Args)]
pub(crate) struct DurabilityArgs {
    /// Shorter faults, for CI.
    #[arg(long)]
    short: bool,
    /// List the rows, and play none.
    #[arg(long)]
    list: bool,
    /// Play this row only; may be given more than once.
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// Rows at once.
    #[arg(long, default_value_t = 8, value_name = "NUMBER")]
    jobs: usize,
    /// Another proxy's command line instead of amp-sidecar, with {listen},
    /// {port}, {upstream}, {upstream_address}, {region}, {workspace} and so on
    /// filled in.
    #[arg(long, value_name = "COMMAND", conflicts_with = "sidecar")]
    proxy: Option<String>,
    /// The amp-sidecar binary; by default cargo builds it.
    #[arg(long, value_name = "PATH")]
    sidecar: Option<PathBuf>,
    /// The Prometheus that sends.
    #[arg(long, value_name = "PATH")]
    prometheus: Option<PathBuf>,
    /// The vmagent that sends.
    #[arg(long, value_name = "PATH")]
    vmagent: Option<PathBuf>,
    /// Write the table as Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl DurabilityArgs {
    /// Plays the rows and shows their results.
    ///
    /// # Errors
    /// Where nothing can be played, or a file cannot be written.
    pub(crate) async fn run(self) -> Result<ExitCode, Error> {
        let form = if self.short {
            Form::short()
        } else {
            Form::full()
        };
        if self.list {
            for row in rows(&form) {
                let note = if row.is_keepable() {
                    ""
                } else {
                    " (lost by design)"
                };
                println!("{:32} {}{note}", row.name, row.what);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let program = match self.proxy {
            Some(line) => Program::Command(line),
            None => Program::sidecar(self.sidecar.as_deref()).await?,
        };
        let options = Options {
            form,
            rows: self.rows,
            at_once: self.jobs,
            program,
            prometheus: self.prometheus,
            vmagent: self.vmagent,
        };
        let report = durability(options, show).await?;
        print!("{}", report.table());
        write(self.markdown.as_deref(), || report.markdown())?;
        write(self.json.as_deref(), || report.json())?;
        Ok(code(&report))
    }
}

fn show(outcome: &Outcome) {
    let word = if outcome.is_good() {
        "ok    "
    } else {
        "BROKEN"
    };
    let (samples, missing) = (outcome.samples, outcome.missing);
    eprintln!(
        "{word} {:32} {missing:>6} of {samples:>7} missing, {:.1} s",
        outcome.row, outcome.seconds
    );
}

fn write(path: Option<&Path>, text: impl Fn() -> String) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text()).map_err(|source| Error::Write {
        path: path.display().to_string(),
        source,
    })
}

fn code(report: &DurabilityReport) -> ExitCode {
    if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
