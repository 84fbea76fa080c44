//! Where a setting's text comes from, and how a fault names the place.
//!
//! White space around a text is left out, line ends above all: a Secret that was made with `echo` ends in one.
//!
//! The first that says something: the entry of the file's `workspaces` that is being read, the flag, the environment
//! variables in their order, the top of the file, the fixed default. An entry is the most specific, so it stands even
//! where a variable (often injected by a platform, for all) says something else.

use super::file;
use super::values::{self, Expected};
use super::yaml::Entry;
use super::{Fault, Setting, settings, traces};
use crate::config::loader::Reader;
use crate::sanitize::sanitize;

impl Reader<'_> {
    /// What was given, wherever.
    pub(super) fn given(&self, setting: &Setting) -> Option<String> {
        let text = |entry: &Entry| entry.text.clone();
        self.in_entry(setting)
            .map(text)
            .or_else(|| self.outside_the_file(setting))
            .or_else(|| self.at_top(setting).map(text))
    }

    /// The value that was given, or the fixed default.
    pub(super) fn parse<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let text = self
            .given(setting)
            .or_else(|| setting.fixed_default().map(str::to_owned))?;
        self.checked(setting, &text, parse(&text))
    }

    /// `None` without a fault where nothing was given.
    pub(super) fn parse_given<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let text = self.given(setting)?;
        self.checked(setting, &text, parse(&text))
    }

    /// `Some(None)` where nothing was given.
    pub(super) fn optional<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<Option<T>> {
        if self.given(setting).is_none() {
            return Some(None);
        }
        self.parse_given(setting, parse).map(Some)
    }

    /// Every value of a setting that may be given several times.
    pub(super) fn list<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<Vec<T>> {
        let text = self.given(setting).unwrap_or_default();
        let values = text.split_ascii_whitespace().map(parse).collect();
        self.checked(setting, &text, values)
    }

    /// Whether it was given for what is being read, and not for several workspaces of which another may need it.
    pub(super) fn is_meant(&self, setting: &Setting) -> bool {
        match self.entry {
            Some(_) => self.in_entry(setting).is_some(),
            None => self.given(setting).is_some(),
        }
    }

    /// The same, but a variable does not count: a platform may have set it for all that runs there.
    pub(super) fn is_chosen(&self, setting: &Setting) -> bool {
        match self.entry {
            Some(_) => self.in_entry(setting).is_some(),
            None => (self.flag)(setting).is_some() || self.at_top(setting).is_some(),
        }
    }

    /// Whether the value that counts is a variable's, which nobody may have set for this program.
    pub(super) fn is_from_variable(&self, setting: &Setting) -> bool {
        self.in_entry(setting).is_none()
            && (self.flag)(setting).is_none()
            && self.variable(setting).is_some()
    }

    pub(super) fn parse_required<T>(
        &mut self,
        setting: &Setting,
        what: &str,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        if self.given(setting).is_none() {
            self.fault(setting, what);
        }
        self.parse_given(setting, parse)
    }

    /// The name of the workspace's entry in the file.
    pub(super) fn given_name(&self) -> Option<&str> {
        let entry = self.file.workspaces.get(self.entry?)?;
        entry.get(file::NAME).map(|name| name.text.as_str())
    }

    /// Notes a fault of a setting.
    pub(super) fn fault(&mut self, setting: &Setting, expected: &str) {
        let value = self
            .given(setting)
            .or_else(|| setting.fixed_default().map(str::to_owned))
            .unwrap_or_default();
        let value = match setting.flag {
            flag if flag == settings::OTLP_HEADERS.flag => traces::WITHHELD.to_owned(),
            _ => value,
        };
        let place = self.place(setting);
        self.note(place, &value, expected);
    }

    /// Notes a fault of an entry's name, or of the id that stands in for it.
    pub(super) fn fault_of_name(&mut self, value: &str, expected: &str) {
        let place = self.entry_place(file::NAME, None);
        self.note(place, value, expected);
    }

    fn note(&mut self, setting: String, value: &str, expected: &str) {
        let fault = Fault {
            setting,
            value: withhold(value),
            expected: expected.to_owned(),
        };
        // What several workspaces share, or AMP and STS, is read for each.
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Notes what is no fault, and is shown at the start, by `config` and by `check`.
    pub(super) fn warn(&mut self, setting: &Setting, words: &str) {
        let place = self.origin(setting).unwrap_or_else(|| self.place(setting));
        let warning = format!("{place}: {}", sanitize(words));
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Quotes come from files that are no shell scripts (`docker run --env-file`) and from YAML in YAML.
    fn checked<T>(
        &mut self,
        setting: &Setting,
        text: &str,
        value: Result<T, Expected>,
    ) -> Option<T> {
        let quoted = is_quoted(text);
        match value {
            Ok(_) if quoted && setting.value == "PATH" => {
                self.fault(setting, "the path without quotes");
                None
            }
            Ok(value) => Some(value),
            Err(expected) if quoted => {
                self.fault(setting, &format!("{expected}, without quotes"));
                None
            }
            Err(expected) => {
                self.fault(setting, &expected.0);
                None
            }
        }
    }

    fn in_entry(&self, setting: &Setting) -> Option<&Entry> {
        let entry = self.file.workspaces.get(self.entry?)?;
        entry.get(&file::key(setting))
    }

    fn at_top(&self, setting: &Setting) -> Option<&Entry> {
        self.file.top.get(&file::key(setting))
    }

    fn outside_the_file(&self, setting: &Setting) -> Option<String> {
        let flag = (self.flag)(setting).map(|text| text.trim().to_owned());
        flag.or_else(|| Some(self.variable(setting)?.1))
    }

    /// The variable that counts, and its value.
    fn variable(&self, setting: &Setting) -> Option<(&'static str, String)> {
        if self.ignores(setting) {
            return None;
        }
        setting.env.iter().find_map(|name| {
            let value = (self.around.env)(name)?;
            let value = value.trim();
            (!value.is_empty()).then(|| (*name, value.to_owned()))
        })
    }

    /// The variables that AWS' own AWS_IGNORE_CONFIGURED_ENDPOINT_URLS silences.
    fn ignores(&self, setting: &Setting) -> bool {
        let names_endpoint = |name: &&str| name.starts_with("AWS_ENDPOINT_URL");
        let ignoring = &settings::IGNORE_CONFIGURED_ENDPOINT_URLS;
        setting.env.iter().any(names_endpoint)
            && self
                .given(ignoring)
                .is_some_and(|text| values::switch(&text) == Ok(true))
    }

    /// Where the value that counts was given, if it was: `--region`, `AWS_REGION` or `config.yaml, line 3`.
    pub(super) fn origin(&self, setting: &Setting) -> Option<String> {
        let in_file = |entry: &Entry| format!("{}, line {}", self.file.path, entry.line);
        let flag = || (self.flag)(setting).map(|_| format!("--{}", setting.flag));
        let variable = || Some(self.variable(setting)?.0.to_owned());
        self.in_entry(setting)
            .map(in_file)
            .or_else(flag)
            .or_else(variable)
            .or_else(|| self.at_top(setting).map(in_file))
    }

    /// Where the value that counts stands; where there is none, where it could.
    fn place(&self, setting: &Setting) -> String {
        let key = file::key(setting);
        if let Some(entry) = self.in_entry(setting) {
            return self.entry_place(&key, Some(entry.line));
        }
        if self.outside_the_file(setting).is_none() {
            if let Some(entry) = self.at_top(setting) {
                return self.file.place(&key, Some(entry.line));
            }
            if self.entry.is_some() {
                return self.entry_place(&key, None);
            }
        }
        format!("--{} ({})", setting.flag, setting.env.join(", "))
    }

    fn entry_place(&self, key: &str, line: Option<usize>) -> String {
        let n = self.entry.unwrap_or_default();
        self.file.place(&format!("workspaces[{n}].{key}"), line)
    }
}

/// Whether the whole text stands in quotes.
fn is_quoted(text: &str) -> bool {
    ['"', '\'']
        .iter()
        .any(|quote| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote))
}

/// The value as it may be shown: no credentials of a URL, no token that was pasted where its path belongs.
pub(super) fn withhold(value: &str) -> String {
    if value.trim_start_matches(['"', '\'']).starts_with("eyJ") {
        return "[a token, withheld]".to_owned();
    }
    let Some((before, after)) = value.rsplit_once('@') else {
        return value.to_owned();
    };
    match before.split_once("://") {
        Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            format!("{scheme}://[withheld]@{after}")
        }
        // A password can hold what looks like the end of a scheme.
        Some(_) => format!("[withheld]@{after}"),
        // A proxy's URL may lack its scheme.
        None if before.contains(':') => format!("[withheld]@{after}"),
        None => value.to_owned(),
    }
}
