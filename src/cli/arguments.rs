//! The commands and their arguments, generated from the definition of the settings.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::config::{ALL, Setting, SettingError};
use crate::setup;

const AFTER: &str = "\
A flag overrides its environment variables, and these override the top level of the --config file. SIGHUP reloads that file.
Durations have a unit (500ms, 25s, 15m, 1h30m), bytes may have one (1MB, 32MiB).
A flag with ... may be repeated; its variable holds the values separated by white space.

Exit codes:
  0   stopped by SIGTERM or SIGINT; check: data flows
  1   check: a step failed
  64  invalid configuration; every error is reported
  69  cannot listen on a port, or cannot start a workspace";

/// Prints shell completions.
pub const COMPLETIONS: &str = "completions";
/// Writes man pages.
pub const MAN: &str = "man";
pub(super) const SHELL: &str = "shell";
pub(super) const FOLDER: &str = "folder";
/// The command that shows the configuration.
pub const CONFIG: &str = "config";
const SCHEMA: &str = "schema";
const CHECK: &str = "check";
const JSON: &str = "json";
const PROMETHEUS_CONFIG: &str = "prometheus-config";

/// The arguments of `check`.
#[derive(Debug)]
pub struct Check {
    /// Print JSON.
    pub json: bool,
    /// Prometheus' configuration.
    pub prometheus: Option<PathBuf>,
}

/// The whole command line; `run` is the default command.
#[must_use]
pub fn command() -> Command {
    let run = Command::new("run")
        .about("Accept remote write, sign it and forward it to AMP (the default)")
        .args(ALL.iter().map(argument));
    let config = Command::new(CONFIG)
        .about(
            "Print the effective configuration as a file for --config, secrets redacted, and exit",
        )
        .args(ALL.iter().map(argument))
        .arg(
            Arg::new(SCHEMA)
                .long(SCHEMA)
                .help("Print the JSON Schema of that file instead, for editors")
                .action(ArgAction::SetTrue),
        );
    let check = Command::new(CHECK)
        .about("Test every step from token to AMP once and report what fails and how to fix it; exit code 0 if data flows, else 1")
        .args(ALL.iter().map(argument))
        .arg(
            Arg::new(JSON)
                .long(JSON)
                .help("Print one JSON object instead")
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new(PROMETHEUS_CONFIG)
                .long(PROMETHEUS_CONFIG)
                .help("Also check the remote_write of this prometheus.yml")
                .value_name("FILE"),
        );
    Command::new("amp-sidecar")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Signs Prometheus remote write with a projected service-account token and forwards it to Amazon Managed Service for Prometheus.")
        .after_help(AFTER)
        .args(ALL.iter().map(argument))
        .subcommand(run)
        .subcommand(config)
        .subcommand(check)
        .subcommand(setup::command())
        .subcommands(generators())
        .disable_help_subcommand(true)
}

fn generators() -> [Command; 2] {
    [
        Command::new(COMPLETIONS)
            .about("Print shell completions")
            .arg(
                Arg::new(SHELL)
                    .required(true)
                    .value_parser(value_parser!(Shell))
                    .value_name("SHELL"),
            ),
        Command::new(MAN)
            .about("Write a man page for each command into a folder")
            .arg(
                Arg::new(FOLDER)
                    .required(true)
                    .value_parser(value_parser!(PathBuf))
                    .value_name("FOLDER"),
            ),
    ]
}

/// Whether `config` prints the schema of its file.
#[must_use]
pub fn wants_schema(matches: &ArgMatches) -> bool {
    matches
        .subcommand_matches(CONFIG)
        .is_some_and(|config| config.get_flag(SCHEMA))
}

/// The arguments of `check`, if that is the command.
#[must_use]
pub fn check(matches: &ArgMatches) -> Option<Check> {
    let check = matches.subcommand_matches(CHECK)?;
    Some(Check {
        json: check.get_flag(JSON),
        prometheus: check
            .get_one::<String>(PROMETHEUS_CONFIG)
            .map(PathBuf::from),
    })
}

/// A setting's value on the command line; several values separated by white space, as in the environment.
#[must_use]
pub fn given(matches: &ArgMatches, setting: &Setting) -> Option<String> {
    let values = |matches: &ArgMatches| {
        let values: Vec<&str> = matches
            .get_many::<String>(setting.flag)?
            .map(String::as_str)
            .collect();
        Some(values.join(" "))
    };
    let within = matches
        .subcommand()
        .and_then(|(_, matches)| values(matches));
    within.or_else(|| values(matches))
}

/// Settings before a command that has none, where they would be ignored.
#[must_use]
pub fn misplaced(matches: &ArgMatches) -> Vec<SettingError> {
    ALL.iter()
        .filter_map(|setting| {
            Some(SettingError {
                setting: format!("--{}", setting.flag),
                value: matches.get_one::<String>(setting.flag)?.clone(),
                expected: "no argument before this command: its own follow it".to_owned(),
            })
        })
        .collect()
}

/// Every value is text here: the configuration parses it, so that all errors are reported at once.
fn argument(setting: &'static Setting) -> Arg {
    let default = match setting.default {
        "[required]" => "[required]".to_owned(),
        _ => format!("[default: {}]", setting.shown_default()),
    };
    let help = format!(
        "{}\n[env: {}] {default}",
        setting.help,
        setting.env.join(", ")
    );
    let action = if setting.repeats() {
        ArgAction::Append
    } else {
        ArgAction::Set
    };
    let argument = Arg::new(setting.flag)
        .long(setting.flag)
        .help(help)
        .action(action);
    if setting.is_switch() {
        argument
            .num_args(0..=1)
            .default_missing_value("true")
            .require_equals(true)
            .value_name("BOOL")
    } else {
        argument.value_name(setting.value).allow_hyphen_values(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_makes_a_valid_command_line() {
        command().debug_assert();
    }

    #[test]
    fn help_shows_every_setting_with_its_variables_and_default() {
        let help = command().render_help().to_string();
        for setting in ALL {
            assert!(
                help.contains(&format!("--{}", setting.flag)),
                "{}",
                setting.flag
            );
            assert!(
                setting.env.iter().all(|name| help.contains(name)),
                "{}",
                setting.flag
            );
            assert!(help.contains(setting.shown_default()), "{}", setting.flag);
        }
    }

    #[test]
    fn flags_stand_before_or_behind_the_command_and_switches_need_no_value() {
        let listen = ALL.iter().find(|setting| setting.flag == "listen").unwrap();
        let open = ALL
            .iter()
            .find(|setting| setting.flag == "allow-non-loopback")
            .unwrap();
        for line in [
            &["amp-sidecar", "--listen", "x", "--allow-non-loopback"][..],
            &[
                "amp-sidecar",
                "run",
                "--listen=x",
                "--allow-non-loopback=true",
            ],
            &[
                "amp-sidecar",
                "--listen",
                "x",
                "run",
                "--allow-non-loopback",
            ],
        ] {
            let matches = command().try_get_matches_from(line).unwrap();
            assert_eq!(given(&matches, listen).as_deref(), Some("x"), "{line:?}");
            assert_eq!(given(&matches, open).as_deref(), Some("true"), "{line:?}");
        }
    }

    #[test]
    fn a_flag_that_repeats_keeps_every_value() {
        let role = ALL
            .iter()
            .find(|setting| setting.flag == "assume-role")
            .unwrap();
        for line in [
            &["amp-sidecar", "--assume-role", "a", "--assume-role=b"][..],
            &[
                "amp-sidecar",
                "run",
                "--assume-role",
                "a",
                "--assume-role",
                "b",
            ],
        ] {
            let matches = command().try_get_matches_from(line).unwrap();
            assert_eq!(given(&matches, role).as_deref(), Some("a b"), "{line:?}");
        }
    }
}
