//! The durability test: every fault, with real senders, and what arrived.
//!
//! ```text
//! source ◀─ Prometheus ─▶ observer ─▶ sidecar ─▶ fault proxy ─▶ AMP
//!            │ database               │                     │ store
//!            └───────────── samples missing? ◀──────────────┘
//! ```
//!
//! In: which rows, in which form, against which proxy. Out: a [`DurabilityReport`]. Every
//! row has a world, a sidecar and a sender of its own and shares nothing with
//! the others but the machine, so they run side by side.
//!
//! - [`rows`]: the rows, as data. `play` plays one, `outcome` judges it.
//! - `senders`, `vmagent`: who sends, and what they had to send.
//! - `responses`: the responses to the sender. [`report`]: the table.
//!
//! A test for each row would have been the other way. But the rows are also the
//! documentation's table and the comparison with other proxies, which nobody
//! runs as tests.

mod error;
mod fixture;
mod form;
mod outcome;
mod play;
pub mod report;
mod responses;
mod row;
pub mod rows;
mod senders;
mod shown;
mod vmagent;

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::error::Error;
pub use self::fixture::Fixture;
pub use self::form::Form;
pub use self::outcome::Outcome;
pub use self::report::DurabilityReport;
pub use self::row::Row;
use crate::peers::prometheus::Installed;
use crate::peers::sidecar::Program;

/// What is to be tested, and with what.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long everything takes.
    pub form: Form,
    /// The rows by name; all where there are none.
    pub rows: Vec<String>,
    /// How many rows run at once.
    pub at_once: usize,
    /// The proxy under test.
    pub program: Program,
    /// The Prometheus; the one on the `PATH` where absent.
    pub prometheus: Option<PathBuf>,
    /// The vmagent; the one on the `PATH` where absent.
    pub vmagent: Option<PathBuf>,
}

/// Plays the rows, and shows each outcome as it is known.
///
/// # Errors
/// Where a row does not exist or a sender is not installed. A row that cannot
/// be played is an [`Outcome`] like the others.
pub async fn durability(
    options: Options,
    show: impl Fn(&Outcome),
) -> Result<DurabilityReport, Error> {
    let started = Instant::now();
    let rows = chosen(&options)?;
    let missing = |program, package| Error::Missing { program, package };
    let prometheus = Installed::find(options.prometheus.as_deref())
        .await?
        .ok_or(missing("prometheus", "prometheus"))?;
    let vmagent = options.vmagent.clone().unwrap_or_else(|| "vmagent".into());
    if !runs(&vmagent).await {
        return Err(missing("vmagent", "victoria-metrics"));
    }
    let fixture = Arc::new(Fixture {
        program: options.program.clone(),
        prometheus: prometheus.program,
        vmagent,
        form: options.form,
    });

    let slots = Arc::new(Semaphore::new(options.at_once.max(1)));
    let mut playing = JoinSet::new();
    for (number, row) in rows.iter().cloned().enumerate() {
        let (fixture, slots) = (Arc::clone(&fixture), Arc::clone(&slots));
        playing.spawn(async move {
            let _slot = slots.acquire_owned().await;
            (number, played(&row, &fixture).await)
        });
    }
    let mut outcomes = Vec::new();
    while let Some(done) = playing.join_next().await {
        // A task ends otherwise only by a panic, which the runtime has shown already, or with us.
        if let Ok((number, outcome)) = done {
            show(&outcome);
            outcomes.push((number, outcome));
        }
    }
    outcomes.sort_by_key(|(number, _)| *number);
    Ok(DurabilityReport {
        proxy: options.program.name().to_owned(),
        prometheus: prometheus.version,
        form: if options.form.is_short {
            "short"
        } else {
            "full"
        },
        fault_seconds: options.form.fault.as_secs(),
        seconds: started.elapsed().as_secs_f64().round(),
        rows: outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
    })
}

fn chosen(options: &Options) -> Result<Vec<Row>, Error> {
    let all = rows::rows(&options.form);
    if let Some(unknown) = options
        .rows
        .iter()
        .find(|name| !all.iter().any(|row| row.name == **name))
    {
        return Err(Error::NoSuchRow(unknown.clone()));
    }
    let wanted =
        |row: &Row| options.rows.is_empty() || options.rows.iter().any(|name| name == row.name);
    Ok(all.into_iter().filter(wanted).collect())
}

async fn played(row: &Row, fixture: &Fixture) -> Outcome {
    let started = Instant::now();
    match play::play(row, fixture).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let mut why = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                why.push_str(&format!(": {error}"));
                source = error.source();
            }
            Outcome::unplayed(row, why, started.elapsed())
        }
    }
}

/// Whether there is such a program.
async fn runs(program: &Path) -> bool {
    let asked = Command::new(program)
        .arg("-version")
        .kill_on_drop(true)
        .output()
        .await;
    !asked.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
