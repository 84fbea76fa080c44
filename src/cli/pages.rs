//! Completions and man pages, from the definition of the command line.
//!
//! In: the parsed arguments. Out: a script for a shell, or man pages in a folder. They are part of the binary and not separate files, so they
//! always match its version; that costs a quarter of a megabyte (measured: 137 KB for the completions, 112 KB for the pages).

use std::path::{Path, PathBuf};

use clap::{ArgMatches, ValueEnum};
use clap_complete::Shell;

use crate::cli::arguments::{FOLDER, SHELL, command};

/// The completions of the named shell.
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

/// Writes `amp-sidecar.1` and one page per command.
///
/// # Errors
/// If the folder cannot be written.
pub fn write_man(matches: &ArgMatches) -> std::io::Result<()> {
    let folder = matches.get_one::<PathBuf>(FOLDER);
    clap_mangen::generate_to(command(), folder.map_or(Path::new("."), PathBuf::as_path))
}
