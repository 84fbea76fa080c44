//! Accepts the arguments of aws-sigv4-proxy, so that its manifests start with another image.
//!
//! In: the command line and the environment. Out: the command line in our own settings, and a [`ForeignArguments`]: one warning
//! that names today's form, and an error for what cannot be honoured. Only this module knows those arguments: the parser, the
//! help and the settings do not. [`flags`] has a row for each, and a test compares them with
//! `docs/from-aws-sigv4-proxy.md`.
//!
//! Two of them have our names. `--region` means the same. `--role-arn` there is a role that is assumed with the pod's own
//! credentials; beside `--host` or `--name` it is read so.

mod divided;
mod flags;

use std::ffi::OsString;

use crate::config::{ForeignArguments, SettingError};
use divided::Divided;
use flags::Effect;

/// Where aws-sigv4-proxy listens by default.
const DEFAULT_PORT: &str = ":8080";
/// The commands without settings.
const COMMANDS_WITHOUT: [&str; 4] = ["setup", "completions", "man", "help"];

/// The result while it is made.
struct Translation<'a> {
    divided: Divided,
    env: &'a dyn Fn(&str) -> Option<String>,
    /// Our settings, each after its flag, and the flags of theirs that they replace.
    instead: Vec<String>,
    replaced: Vec<String>,
    /// What else changes.
    notes: Vec<&'static str>,
    errors: Vec<SettingError>,
}

/// Translates the command line, program first; one without such arguments stays as it is.
#[must_use]
pub fn translate(
    arguments: Vec<OsString>,
    env: &dyn Fn(&str) -> Option<String>,
) -> (Vec<OsString>, ForeignArguments) {
    let has_none = |argument: &OsString| COMMANDS_WITHOUT.iter().any(|name| argument == name);
    if arguments.iter().any(has_none) {
        return (arguments, ForeignArguments::default());
    }
    let divided = Divided::of(arguments.clone());
    if !divided.has_theirs() {
        return (arguments, ForeignArguments::default());
    }
    Translation {
        divided,
        env,
        instead: Vec::new(),
        replaced: Vec::new(),
        notes: Vec::new(),
        errors: Vec::new(),
    }
    .finish()
}

// === impl Translation ===

impl Translation<'_> {
    fn finish(mut self) -> (Vec<OsString>, ForeignArguments) {
        self.refuse();
        self.host();
        self.port();
        self.verbose();
        self.role();
        let warning = self.warning();
        let names_host = self.divided.value(Effect::Host).is_some();
        let mut arguments = self.divided.ours;
        arguments.extend(self.instead.into_iter().map(OsString::from));
        let foreign = ForeignArguments {
            warning: Some(warning),
            errors: self.errors,
            names_host,
        };
        (arguments, foreign)
    }

    fn refuse(&mut self) {
        let mut errors = Vec::new();
        for (argument, value) in self.divided.theirs() {
            let expected = match argument.effect {
                Effect::Refused(expected) => expected,
                Effect::Name if value != "aps" => {
                    "aps: the sidecar signs for Amazon Managed Service for Prometheus alone, so keep aws-sigv4-proxy for another service"
                }
                _ => continue,
            };
            let value = if argument.takes_value { value } else { "true" };
            errors.push(error(argument.flag, value, expected));
        }
        self.errors.extend(errors);
    }

    /// Its host is AWS' own for the region, or the endpoint to use.
    fn host(&mut self) {
        let Some(host) = self.divided.value(Effect::Host) else {
            return;
        };
        let signed = self.divided.value(Effect::SignHost).unwrap_or(host);
        // AMP takes the name of its PrivateLink endpoint, too.
        if signed != host && !host.contains(".vpce.") {
            let expected = "the value of --host, or no value: a batch is signed for the host to which it is sent; to reach that host in another way, use --https-proxy or an entry of hostAliases";
            self.errors.push(error("sign-host", signed, expected));
            return;
        }
        let scheme = self.divided.value(Effect::Scheme);
        let endpoint = format!("{}://{host}", scheme.unwrap_or("https"));
        let region = self.divided.ours("region");
        let region = region
            .or_else(|| self.variable("AWS_REGION"))
            .or_else(|| self.variable("AWS_DEFAULT_REGION"));
        let own = region.map(|region| format!("https://aps-workspaces.{region}.amazonaws.com"));
        if own.as_ref() != Some(&endpoint) {
            self.replace("host", "amp-endpoint", endpoint);
        }
    }

    fn port(&mut self) {
        let port = self.divided.value(Effect::Port).map(str::to_owned);
        let default = || {
            let needed = self.is_whole() && self.variable("AMP_SIDECAR_LISTEN").is_none();
            needed.then(|| DEFAULT_PORT.to_owned())
        };
        let Some(port) = port.or_else(default) else {
            return;
        };
        let address = match port.strip_prefix("localhost").unwrap_or(&port) {
            everywhere if everywhere.starts_with(':') => format!("127.0.0.1{everywhere}"),
            _ => port.clone(),
        };
        if port.starts_with(':') {
            self.notes
                .push("only this pod reaches it now: it listens on loopback");
        }
        self.replace("port", "listen", address);
    }

    fn verbose(&mut self) {
        if self.divided.value(Effect::Verbose).is_some() {
            self.replace("verbose", "log-level", "debug".to_owned());
        }
    }

    /// Theirs is assumed with the pod's own credentials, which here are those of the web identity role.
    fn role(&mut self) {
        let second = self.divided.ours("role-arn").filter(|_| self.is_whole());
        let (Some(first), Some(second)) = (self.variable("AWS_ROLE_ARN"), second) else {
            return;
        };
        self.divided.remove("role-arn");
        if first == second {
            self.notes
                .push("the role of AWS_ROLE_ARN is not assumed a second time");
        } else {
            self.replace("role-arn", "assume-role", second);
        }
    }

    /// Whether the command line was written for aws-sigv4-proxy, which is of no use for AMP without these.
    fn is_whole(&self) -> bool {
        [Effect::Host, Effect::Name]
            .into_iter()
            .any(|needed| self.divided.value(needed).is_some())
    }

    /// Ours wins where both are given.
    fn replace(&mut self, theirs: &str, ours: &str, value: String) {
        if ours == "assume-role" || !self.divided.has(ours) {
            self.instead.extend([format!("--{ours}"), value]);
            self.replaced.push(format!("--{theirs}"));
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = (self.env)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// Values of theirs are not quoted: a custom header may be secret.
    fn warning(&self) -> String {
        let given = self.divided.theirs();
        let flags = given.map(|(argument, _)| format!("--{}", argument.flag));
        let refused = |flag: &String| self.errors.iter().any(|error| error.setting == *flag);
        let unneeded: Vec<String> = flags
            .filter(|flag| !self.replaced.contains(flag) && !refused(flag))
            .collect();
        let mut words = Vec::new();
        if !self.instead.is_empty() {
            words.push(format!(
                "{} instead of {}",
                self.instead.join(" "),
                self.replaced.join(", ")
            ));
        }
        if !unneeded.is_empty() {
            words.push(format!("nothing instead of {}", unneeded.join(", ")));
        }
        let notes = self.notes.iter().map(|note| format!("; {note}"));
        format!(
            "arguments of aws-sigv4-proxy are accepted; write {}{}; see docs/from-aws-sigv4-proxy.md",
            words.join(", and "),
            notes.collect::<String>()
        )
    }
}

fn error(flag: &str, value: &str, expected: &str) -> SettingError {
    SettingError {
        setting: format!("--{flag}"),
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests;
