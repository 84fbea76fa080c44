//! `amp-sidecar setup`: prints the objects in AWS, Azure and Kubernetes and the Prometheus configuration, ready to use.
//!
//! ```text
//! arguments ─▶ reader ─▶ aws         ─▶ template ─▶ stdout
//! (token's       │       azure
//!  claims) ──────┘       kubernetes
//!                        prometheus
//! ```
//!
//! In: its own arguments, which are not settings of the sidecar, and the claims of a token if one is named. Out: one text for one tool. It changes
//! nothing and uses no network: the output can be reviewed, and run by an administrator with more rights than the sidecar ever should have. For
//! the same reason there is no `setup --apply`.

mod arguments;
mod aws;
mod azure;
mod kubernetes;
mod mixin;
pub mod policy;
mod prometheus;
mod reader;
mod template;
mod values;

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Expected, InvalidConfig, SettingError};
use crate::credentials::claims::Claims;
use crate::credentials::token;
use arguments::{Argument, Topic};
use reader::SetupInputs;

const AFTER: &str = "\
Changes nothing and uses no network. Exit code 64: invalid arguments; every error is reported.";

const TOPICS: [(Topic, &str, &str); 4] = [
    (
        Topic::Aws,
        "aws",
        "OIDC provider, role and policies, as aws commands, CloudFormation or Terraform",
    ),
    (
        Topic::Azure,
        "azure",
        "The cluster's OIDC issuer, and with --via entra the application that trusts it, as az commands",
    ),
    (
        Topic::Kubernetes,
        "kubernetes",
        "Projected token, sidecar, hook, alerts and dashboard for Prometheus, as a patch, manifests or values",
    ),
    (
        Topic::Prometheus,
        "prometheus",
        "The remote_write section of prometheus.yml",
    ),
];

/// The command, its topics and their arguments.
#[must_use]
pub fn command() -> Command {
    Command::new("setup")
        .about("Print the AWS, Azure, Kubernetes and Prometheus configuration that the sidecar needs, ready to use")
        .after_help(format!("Options of a topic: amp-sidecar setup <TOPIC> --help\n{AFTER}"))
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommand_help_heading("Topics")
        .subcommand_value_name("TOPIC")
        .subcommands(TOPICS.map(|(topic, name, about)| {
            Command::new(name)
                .about(about)
                .after_help(AFTER)
                .args(reader::of(topic).map(argument))
        }))
}

/// Every value is text here: the reader checks it, so that all errors are reported at once.
fn argument(of: &'static Argument) -> Arg {
    let argument = Arg::new(of.flag).long(of.flag);
    if of.is_switch() {
        return argument.help(of.help).action(ArgAction::SetTrue);
    }
    let default = match of.default {
        bracketed if bracketed.starts_with('[') => bracketed.to_owned(),
        default => format!("[default: {default}]"),
    };
    argument
        .help(format!("{}\n{default}", of.help))
        .action(ArgAction::Set)
        .value_name(of.value)
}

/// The text for the topic; `errors` are those found so far.
///
/// # Errors
/// [`InvalidConfig`] with every error of the arguments.
pub async fn text(
    errors: Vec<SettingError>,
    matches: &ArgMatches,
) -> Result<String, InvalidConfig> {
    let asked = matches.subcommand().and_then(|(name, matches)| {
        let (topic, ..) = TOPICS.into_iter().find(|(_, known, _)| *known == name)?;
        Some((topic, matches))
    });
    let Some((topic, matches)) = asked else {
        // The command line lacks a topic only if help was requested.
        return Ok(String::new());
    };
    let given = |of: &Argument| -> Option<String> {
        if !of.topics.contains(&topic) {
            None
        } else if of.is_switch() {
            matches.get_flag(of.flag).then(|| "true".to_owned())
        } else {
            matches.get_one::<String>(of.flag).cloned()
        }
    };
    let claims = match given(&arguments::TOKEN) {
        Some(path) => Some(claims(Path::new(&path)).await),
        None => None,
    };
    SetupInputs::new(topic, &given, errors, claims).read()
}

async fn claims(path: &Path) -> Result<Claims, Expected> {
    if path.to_string_lossy().starts_with("eyJ") {
        return Err(Expected(
            "the path of a file with the token, not the token itself".into(),
        ));
    }
    let token = token::read(path)
        .await
        .map_err(|error| Expected(format!("a file with a token ({error})")))?;
    Claims::of(token.expose()).map_err(|error| Expected(format!("a token ({error})")))
}

#[cfg(test)]
mod tests;
