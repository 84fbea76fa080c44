//! The subcommands that measure: their arguments, and where their numbers go.
//!
//! Progress goes to stderr; tables to stdout; files only where they are asked for. The exit code of `compare` says whether every goal
//! is met.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use testbench::compare::{Error, Options, compare, instructions};

/// What `compare` takes.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The amp-sidecar binary, of a release build.
    #[arg(long, value_name = "PATH")]
    sidecar: PathBuf,
    /// Another proxy by its command line, with the placeholders of `durability --proxy`; may be given more than once.
    #[arg(long = "peer", value_name = "NAME='COMMAND'", value_parser = peer)]
    peers: Vec<(String, String)>,
    /// Measure only this one, and only its processor time; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// With --only, and only for this body: real, real-2000, real-2000-v2, 2000 or 10000; for a profiler to look at.
    #[arg(long, value_name = "NAME", requires = "only")]
    body: Option<String>,
    /// Fewer and shorter rounds: three minutes.
    #[arg(long)]
    quick: bool,
    /// Write no file, and fail, where other processes take more than 5 % of a core, before or meanwhile.
    #[arg(long)]
    quiet_only: bool,
    /// How often everything is measured.
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<usize>,
    /// Write the tables as Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write every number as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw what a batch costs.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What `instructions` takes.
#[derive(Debug, Args)]
pub(crate) struct InstructionsArgs {
    /// The amp-sidecar binary, of a release build.
    #[arg(long, value_name = "PATH")]
    sidecar: PathBuf,
    /// The steps of a batch, of the bench of this name.
    #[arg(long, value_name = "PATH")]
    steps: PathBuf,
}

impl CompareArgs {
    /// Measures and shows what came of it.
    ///
    /// # Errors
    /// Where nothing can be measured, or a file cannot be written.
    pub(crate) async fn run(self) -> Result<ExitCode, Error> {
        let options = match self.quick {
            true => Options::quick(self.sidecar),
            false => Options::full(self.sidecar),
        };
        let options = Options {
            peers: self.peers,
            only: self.only,
            body: self.body,
            quiet_only: self.quiet_only,
            rounds: self.rounds.unwrap_or(options.rounds),
            ..options
        };
        let started = std::time::Instant::now();
        let progress = |what| eprintln!("{:4.0} s  {what}", started.elapsed().as_secs_f64());
        let report = compare(options, progress).await?;
        let markdown = report.markdown();
        print!("{markdown}");
        match report.quiet() {
            Err(busy) if self.quiet_only => return Err(busy),
            Err(busy) => eprintln!("testbench: {busy}: not to be published"),
            Ok(()) => {}
        }
        write(self.markdown.as_deref(), &markdown)?;
        write(self.json.as_deref(), &report.json())?;
        write(self.svg.as_deref(), &report.svg())?;
        Ok(match report.is_good() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

impl InstructionsArgs {
    /// Counts, and prints JSON.
    ///
    /// # Errors
    /// Where nothing can be counted.
    pub(crate) async fn run(self) -> Result<ExitCode, Error> {
        let counts = instructions::count(&self.sidecar, &self.steps).await?;
        println!("{:#}", serde_json::json!(counts));
        Ok(ExitCode::SUCCESS)
    }
}

fn peer(text: &str) -> Result<(String, String), String> {
    let (name, line) = text.split_once('=').ok_or("it is NAME='COMMAND'")?;
    Ok((name.to_owned(), line.to_owned()))
}

fn write(path: Option<&Path>, text: &str) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text).map_err(|source| Error::File {
        path: path.display().to_string(),
        source,
    })
}
