//! Errors of a configuration, and the redaction of their values.

use std::fmt;

/// The expected value, in words that complete "expected …".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected(pub(crate) String);

/// An invalid configuration, with every error in it.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.lines().join("\n"))]
pub struct InvalidConfig {
    /// At least one.
    pub errors: Vec<SettingError>,
    /// Not errors, but a likely cause of one.
    pub warnings: Vec<String>,
}

/// One error of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    /// Flag and environment variables, `--region (AWS_REGION, AWS_DEFAULT_REGION)`, or key, file and line.
    pub setting: String,
    /// The value, with secrets redacted; empty if the setting is not set.
    pub value: String,
    /// What would be valid.
    pub expected: String,
}

/// Replaces a secret.
pub(super) const WITHHELD: &str = "[withheld]";

pub(crate) fn expected<T>(what: impl Into<String>) -> Result<T, Expected> {
    Err(Expected(what.into()))
}

/// The text if it is valid, else the expected value.
pub(crate) fn checked(text: &str, valid: bool, what: &str) -> Result<String, Expected> {
    if valid {
        Ok(text.to_owned())
    } else {
        expected(what)
    }
}

/// The value without credentials in a URL, and without a token that was pasted instead of its path.
pub(crate) fn redact(value: &str) -> String {
    if value.trim_start_matches(['"', '\'']).starts_with("eyJ") {
        return "[a token, withheld]".to_owned();
    }
    let Some((before, after)) = value.rsplit_once('@') else {
        return value.to_owned();
    };
    match before.split_once("://") {
        Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            format!("{scheme}://{WITHHELD}@{after}")
        }
        // A password can contain what looks like the end of a scheme.
        Some(_) => format!("{WITHHELD}@{after}"),
        // A proxy's URL may lack its scheme.
        None if before.contains(':') => format!("{WITHHELD}@{after}"),
        None => value.to_owned(),
    }
}

/// `key=value` pairs separated by commas, without their values.
pub(super) fn redact_pairs(text: &str) -> String {
    let pairs = text.split(',').map(|pair| match pair.split_once('=') {
        Some((key, _)) => format!("{key}={WITHHELD}"),
        None => WITHHELD.to_owned(),
    });
    pairs.collect::<Vec<_>>().join(",")
}

impl SettingError {
    /// Redacts the value.
    pub(super) fn of(setting: String, value: &str, expected: &str) -> Self {
        let mut expected = expected.to_owned();
        if holds_placeholder(value) {
            expected.push_str("; this holds what looks like a placeholder that was not filled in");
        }
        Self {
            setting,
            value: redact(value),
            expected,
        }
    }
}

/// Whether a template was not filled in: `${NAME}`, `$(NAME)`, `<NAME>` or `{{ .Values.name }}`.
pub(super) fn holds_placeholder(value: &str) -> bool {
    let pairs = [("${", "}"), ("$(", ")"), ("<", ">"), ("{{", "}}")];
    pairs.into_iter().any(|(open, close)| {
        let rest = value.split_once(open).map(|(_, rest)| rest);
        rest.is_some_and(|rest| rest.contains(close))
    })
}

impl InvalidConfig {
    fn lines(&self) -> Vec<String> {
        let errors = self.errors.iter().map(ToString::to_string);
        let warnings = self.warnings.iter();
        let warnings = warnings.map(|warning| format!("warning: {warning}"));
        errors.chain(warnings).collect()
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            value,
            expected,
        } = self;
        match value.as_str() {
            "" => write!(f, "{setting} not set: expected {expected}"),
            value => write!(f, "{setting} is {value:?}: expected {expected}"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
