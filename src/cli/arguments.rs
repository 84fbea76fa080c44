//! The commands and their arguments, generated from the definition of the settings.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::styling::{AnsiColor, Effects, Styles};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::config::{ALL, ESSENTIAL, Setting, SettingError};
use crate::{REVISION, setup};

const ABOUT: &str =
    "Signs Prometheus remote write and forwards it to Amazon Managed Service for Prometheus (AMP).";

const AFTER: &str = "\
A flag overrides its environment variables, and these override the top level of the --config file. SIGHUP reloads that file.
Durations have a unit (500ms, 25s, 15m, 1h30m), bytes may have one (1MB, 32MiB).
A flag with ... may be repeated; its variable holds the values separated by white space.
The arguments of aws-sigv4-proxy are accepted too: docs/from-aws-sigv4-proxy.md says what each becomes.

Exit codes:
  0   stopped by SIGTERM or SIGINT; check: data flows
  1   check: a step failed
  64  invalid configuration; every error is reported
  69  cannot listen on a port, or cannot start a workspace";

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} ({REVISION})", env!("CARGO_PKG_VERSION")));

/// Beyond it, lines are hard to follow however wide the terminal is.
const WIDEST: usize = 120;

/// On a terminal only; clap also honours `NO_COLOR`.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().effects(Effects::BOLD))
    .usage(AnsiColor::Yellow.on_default().effects(Effects::BOLD))
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Accepts remote write; the default.
pub const RUN: &str = "run";
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
const SHORT_HELP: &str = "short-help";

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
    let run = Command::new(RUN)
        .about("Accept remote write, sign it and forward it to AMP (the default)")
        .arg(short_help_flag())
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
        .version(VERSION.as_str())
        .about(ABOUT)
        .after_help(AFTER)
        .styles(STYLES)
        .max_term_width(WIDEST)
        .arg(short_help_flag())
        .args(ALL.iter().map(argument))
        .subcommand(run)
        .subcommand(config)
        .subcommand(check)
        .subcommand(setup::command())
        .subcommands(generators())
        .disable_help_flag(true)
        .arg(long_help_flag())
        .mut_subcommands(with_help)
}

/// The sidecar's own `-h` is a page of its own: clap's would list all commands and be three times as long.
fn short_help_flag() -> Arg {
    Arg::new(SHORT_HELP)
        .short('h')
        .help("Print the essentials")
        .action(ArgAction::SetTrue)
}

fn long_help_flag() -> Arg {
    Arg::new("help")
        .long("help")
        .help("Print all help")
        .action(ArgAction::HelpLong)
}

/// `--help`, and clap's `-h` where there is none: what it adds by itself can only be replaced for all commands at once.
fn with_help(command: Command) -> Command {
    let has_short = command
        .get_arguments()
        .any(|arg| arg.get_id() == SHORT_HELP);
    let short = Arg::new(SHORT_HELP)
        .short('h')
        .help("Print this command's own options")
        .action(ArgAction::HelpShort);
    command
        .args((!has_short).then_some(short))
        .arg(long_help_flag())
        .mut_subcommands(with_help)
}

/// The page of `-h`, if it was requested: the settings that everybody needs, and where the rest is.
#[must_use]
pub fn short_help(matches: &ArgMatches) -> Option<Command> {
    let requested =
        |matches: &ArgMatches| matches!(matches.try_get_one(SHORT_HELP), Ok(Some(true)));
    let within = matches.subcommand();
    if !requested(matches) && !within.is_some_and(|(_, within)| requested(within)) {
        return None;
    }
    let whole = command();
    let commands: Vec<&str> = whole.get_subcommands().map(Command::get_name).collect();
    let after = format!(
        "Commands: {}\nFirst steps: `amp-sidecar setup --help`. Every command and setting: `amp-sidecar --help`.",
        commands.join(", ")
    );
    let essential = ESSENTIAL.map(|setting| {
        Arg::new(setting.flag)
            .long(setting.flag)
            .value_name(setting.value)
            .help(format!("[env: {}]", setting.env.join(", ")))
            .help_heading("Needed")
    });
    Some(
        Command::new("amp-sidecar")
            .about(ABOUT)
            .after_help(after)
            .styles(STYLES)
            .max_term_width(WIDEST)
            .override_usage("amp-sidecar [OPTIONS] [COMMAND]")
            .disable_help_flag(true)
            .args(essential),
    )
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
    let default = match setting.shown_default() {
        required if required.starts_with("required") => format!("[{required}]"),
        default => format!("[default: {default}]"),
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
        .help(help.clone())
        // The man pages leave out the help that `-h` hides.
        .long_help(help)
        .help_heading(setting.group.heading())
        .hide_short_help(true)
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
        let help = command().term_width(1000).render_long_help().to_string();
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
