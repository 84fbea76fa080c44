//! Accepts the arguments of aws-sigv4-proxy, so that its manifests start with another image.
//!
//! In: the command line and the environment. Out: the command line in our own settings, and a [`ForeignArguments`]: one warning
//! that names today's form, and an error for what cannot be honoured. Only this module knows those arguments: the parser, the
//! help and the settings do not. [`ARGUMENTS`] has a row for each, and a test compares it with `docs/from-aws-sigv4-proxy.md`.
//!
//! Two of them have our names. `--region` means the same. `--role-arn` there is a role that is assumed with the pod's own
//! credentials; beside `--host` or `--name` it is read so.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::config::{ALL, ForeignArguments, SettingError};

/// Where aws-sigv4-proxy listens by default.
const DEFAULT_PORT: &str = ":8080";
/// The commands without settings.
const COMMANDS_WITHOUT: [&str; 4] = ["setup", "completions", "man", "help"];

/// An argument of aws-sigv4-proxy.
struct ForeignFlag {
    flag: &'static str,
    short: Option<char>,
    takes_value: bool,
    effect: Effect,
}

/// What becomes of an argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Name,
    Host,
    SignHost,
    Scheme,
    Port,
    Verbose,
    /// Nothing: the sidecar does it anyway, or there is nothing to do.
    Nothing,
    /// An error, with the expected alternative.
    Refused(&'static str),
}

const ARGUMENTS: [ForeignFlag; 14] = [
    with_value("name", Effect::Name),
    with_value("host", Effect::Host),
    with_value("sign-host", Effect::SignHost),
    with_value("upstream-url-scheme", Effect::Scheme),
    with_value("port", Effect::Port),
    switch("verbose", Some('v'), Effect::Verbose),
    switch("log-failed-requests", None, Effect::Nothing),
    switch("log-signing-process", None, Effect::Nothing),
    ForeignFlag {
        short: Some('s'),
        ..with_value("strip", Effect::Nothing)
    },
    with_value("custom-headers", Effect::Nothing),
    with_value("duplicate-headers", Effect::Nothing),
    with_value("transport.idle-conn-timeout", Effect::Nothing),
    switch(
        "unsigned-payload",
        None,
        Effect::Refused("no such argument: the signature always covers the body"),
    ),
    switch(
        "no-verify-ssl",
        None,
        Effect::Refused("--ca-bundle with the CA to trust: certificates are always verified"),
    ),
];

/// The command line while it is divided.
#[derive(Default)]
struct Divided {
    /// Everything else, in its order.
    ours: Vec<OsString>,
    /// The last value of each, by position in [`ARGUMENTS`]; empty for a switch.
    theirs: BTreeMap<usize, String>,
}

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

const fn with_value(flag: &'static str, effect: Effect) -> ForeignFlag {
    ForeignFlag {
        flag,
        short: None,
        takes_value: true,
        effect,
    }
}

const fn switch(flag: &'static str, short: Option<char>, effect: Effect) -> ForeignFlag {
    ForeignFlag {
        flag,
        short,
        takes_value: false,
        effect,
    }
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
    if divided.theirs.is_empty() {
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

// === impl Divided ===

impl Divided {
    fn of(arguments: Vec<OsString>) -> Self {
        let mut divided = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            if let Some((position, attached)) = known(text) {
                let takes_value = ARGUMENTS
                    .get(position)
                    .is_some_and(|known| known.takes_value);
                let value = match attached {
                    None if takes_value => arguments.next().unwrap_or_default(),
                    attached => attached.unwrap_or_default().into(),
                };
                let value = value.to_string_lossy().into_owned();
                // A switch that is given and off is as good as none.
                if takes_value || value != "false" {
                    divided.theirs.insert(position, value);
                }
                continue;
            }
            let takes_next = text.strip_prefix("--").is_some_and(|flag| {
                ALL.iter()
                    .any(|setting| setting.flag == flag && !setting.value.is_empty())
            });
            divided.ours.push(argument);
            // The value of one of our settings may look like an argument.
            if takes_next {
                divided.ours.extend(arguments.next());
            }
        }
        divided
    }

    fn value(&self, effect: Effect) -> Option<&str> {
        let mut given = self.given().filter(|(one, _)| one.effect == effect);
        given.next().map(|(_, value)| value)
    }

    fn given(&self) -> impl Iterator<Item = (&'static ForeignFlag, &str)> {
        let all = self.theirs.iter();
        all.filter_map(|(position, value)| Some((ARGUMENTS.get(*position)?, value.as_str())))
    }

    /// The position of one of our flags.
    fn position(&self, flag: &str) -> Option<usize> {
        let is = |text: &str| {
            let given = text.strip_prefix("--");
            given.is_some_and(|given| given.split('=').next() == Some(flag))
        };
        self.ours
            .iter()
            .position(|argument| argument.to_str().is_some_and(is))
    }

    /// The value of one of our flags.
    fn ours(&self, flag: &str) -> Option<String> {
        let at = self.position(flag)?;
        let text = self.ours.get(at)?.to_str()?;
        match text.split_once('=') {
            Some((_, value)) => Some(value.to_owned()),
            None => self.ours.get(at + 1)?.to_str().map(str::to_owned),
        }
    }

    fn remove(&mut self, flag: &str) {
        if let Some(at) = self.position(flag) {
            let removed = self.ours.remove(at);
            let has_value = removed.to_str().is_some_and(|text| text.contains('='));
            if !has_value && at < self.ours.len() {
                self.ours.remove(at);
            }
        }
    }
}

/// An argument of theirs, and its value if that is attached: `--port=:8005`, `-sAuthorization`.
fn known(text: &str) -> Option<(usize, Option<&str>)> {
    let position = |is: &dyn Fn(&ForeignFlag) -> bool| ARGUMENTS.iter().position(is);
    if let Some(long) = text.strip_prefix("--") {
        let (flag, value) = match long.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (long, None),
        };
        return Some((position(&|known| known.flag == flag)?, value));
    }
    let mut letters = text.strip_prefix('-')?.chars();
    let letter = letters.next()?;
    let attached = Some(letters.as_str()).filter(|rest| !rest.is_empty());
    let found = position(&|known| known.short == Some(letter))?;
    let takes_value = ARGUMENTS.get(found).is_some_and(|known| known.takes_value);
    (takes_value || attached.is_none()).then_some((found, attached))
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
        for (argument, value) in self.divided.given() {
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
        if ours == "assume-role" || self.divided.position(ours).is_none() {
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
        let given = self.divided.given();
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
