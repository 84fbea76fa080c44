//! Completions and man pages, from the definition that the command line is read by.
//!
//! In: what was asked for. Out: a script for a shell, or pages in a folder. They are part of the program and not files
//! beside it, so that they are always those of this version; that costs it a quarter of a megabyte (measured: 137 KB for the
//! completions, 112 KB for the pages).

use std::path::{Path, PathBuf};

use clap::{ArgMatches, ValueEnum};
use clap_complete::Shell;

use crate::cli::arguments::{FOLDER, SHELL, command};

/// The completions that were asked for.
#[must_use]
pub fn completions(matches: &ArgMatches) -> String {
    let shell = matches.get_one::<Shell>(SHELL).copied();
    let mut script = Vec::new();
    if let Some(shell) = shell.or_else(|| Shell::value_variants().first().copied()) {
        clap_complete::generate(shell, &mut command(), "amp-sidecar", &mut script);
    }
    // clap_complete 4.6.11 takes the dash of a name for a space in half of the places of bash's script.
    String::from_utf8_lossy(&script).replace("amp__subcmd__sidecar", "amp__sidecar")
}

/// Writes `amp-sidecar.1` and one page a command.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_man(matches: &ArgMatches) -> std::io::Result<()> {
    let folder = matches.get_one::<PathBuf>(FOLDER);
    clap_mangen::generate_to(command(), folder.map_or(Path::new("."), PathBuf::as_path))
}
