//! Where a setting's text comes from, in this order: the current entry of the file's `workspaces`, the flag, the environment variables, the
//! top level of the file, the fixed default. An entry is the most specific, so it overrides even a variable, which a platform often injects for
//! all.
//!
//! In: flags, [`Environment`] and file. Out: parsed values, with every error and warning collected, so that all of them can be reported at once: a
//! method returns `None` if it noted an error, and no caller stops at the `None` of another.
//!
//! White space around a text is ignored, line ends above all: a Secret made with `echo` ends in one.

use super::error::{Expected, InvalidConfig, SettingError, WITHHELD, holds_placeholder};
use super::file::{self, File};
use super::model::{Environment, ForeignArguments, Origins};
use super::other_credentials::{self, KindOfCredentials};
use super::settings::{self, ALL, Row, Setting};
use super::yaml::YamlText;
use super::{suggest, values};
use crate::sanitize::sanitize;

/// The size limit of a configuration file.
const LARGEST_FILE: usize = 1 << 20;

/// All sources of settings, and the errors and warnings found.
pub(super) struct Sources<'a> {
    flag: &'a dyn Fn(&Setting) -> Option<String>,
    pub(super) environment: &'a Environment<'a>,
    pub(super) file: File,
    /// The current entry of the file's `workspaces`.
    pub(super) entry: Option<usize>,
    /// Whether foreign arguments name AMP's host.
    pub(super) names_host: bool,
    errors: Vec<SettingError>,
    warnings: Vec<String>,
}

/// Where a text was found.
enum FoundAt {
    Entry(usize),
    Flag,
    Variable(&'static str),
    Top(usize),
}

// === impl Sources ===

impl<'a> Sources<'a> {
    pub(super) fn new(
        flag: &'a dyn Fn(&Setting) -> Option<String>,
        environment: &'a Environment<'a>,
    ) -> Self {
        Self {
            flag,
            environment,
            file: File::default(),
            entry: None,
            names_host: false,
            errors: Vec::new(),
            warnings: suggest::unknown_variables(&environment.variables),
        }
    }

    /// Adds what arguments of another program gave besides flags.
    pub(super) fn add(&mut self, foreign: &ForeignArguments) {
        self.errors.extend(foreign.errors.iter().cloned());
        let warning = foreign.warning.iter().map(|warning| sanitize(warning));
        self.warnings.extend(warning);
        self.names_host = foreign.names_host;
    }

    /// Reads the configuration file, if one is named; `None` if nothing else is worth reading.
    pub(super) fn read_file(&mut self) -> Option<()> {
        let Some(path) = self.text(&settings::CONFIG) else {
            return Some(());
        };
        let text = self.checked(&settings::CONFIG, &path, read_file(&path))?;
        let file = File::parse(&path, &text);
        self.file = file.map_err(|errors| self.errors.extend(errors)).ok()?;
        if self.file.top.is_empty() && self.file.workspaces.is_empty() {
            self.warn(&settings::CONFIG, "the file is empty");
        }
        Some(())
    }

    /// The value with its warnings, or all errors.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<String>), InvalidConfig> {
        match value {
            Some(value) if self.errors.is_empty() => Ok((value, self.warnings)),
            _ => Err(InvalidConfig {
                errors: self.errors,
                warnings: self.warnings,
            }),
        }
    }

    // --- values ---

    /// The configured value, or the fixed default.
    pub(super) fn read<T>(&mut self, row: &Row<T>) -> Option<T> {
        let text = self.text_or_default(row)?;
        self.checked(row, &text, (row.parse)(&text))
    }

    /// `None` without an error if it is not set.
    pub(super) fn read_set<T>(&mut self, row: &Row<T>) -> Option<T> {
        let text = self.text(row)?;
        self.checked(row, &text, (row.parse)(&text))
    }

    /// `Some(None)` if it is not set.
    pub(super) fn read_optional<T>(&mut self, row: &Row<T>) -> Option<Option<T>> {
        match self.text(row) {
            None => Some(None),
            Some(_) => self.read_set(row).map(Some),
        }
    }

    /// An error if it is not set; `what` is the expected value.
    pub(super) fn read_required<T>(&mut self, row: &Row<T>, what: &str) -> Option<T> {
        if !self.is_set(row) {
            self.error(row, what);
        }
        self.read_set(row)
    }

    /// Every value of a repeatable setting.
    pub(super) fn read_list<T>(&mut self, row: &Row<T>) -> Option<Vec<T>> {
        let text = self.text(row).unwrap_or_default();
        let values = text.split_ascii_whitespace().map(row.parse).collect();
        self.checked(row, &text, values)
    }

    /// The text from any source.
    pub(super) fn text(&self, setting: &Setting) -> Option<String> {
        self.find(setting).map(|(text, _)| text)
    }

    pub(super) fn is_set(&self, setting: &Setting) -> bool {
        self.find(setting).is_some()
    }

    /// Whether it is set for the current workspace, and not at the top for several workspaces of which another may need it.
    pub(super) fn is_set_here(&self, setting: &Setting) -> bool {
        match self.entry {
            Some(_) => self.in_entry(setting).is_some(),
            None => self.is_set(setting),
        }
    }

    /// The same, except by a variable: a platform may have set it for everything that runs there.
    pub(super) fn is_chosen(&self, setting: &Setting) -> bool {
        match self.entry {
            Some(_) => self.in_entry(setting).is_some(),
            None => (self.flag)(setting).is_some() || self.at_top(setting).is_some(),
        }
    }

    /// Whether the effective value comes from a variable, which may not be meant for this program.
    pub(super) fn is_from_variable(&self, setting: &Setting) -> bool {
        matches!(self.find(setting), Some((_, FoundAt::Variable(_))))
    }

    /// The name of the workspace's entry in the file.
    pub(super) fn entry_name(&self) -> Option<&str> {
        let entry = self.file.workspaces.get(self.entry?)?;
        entry.get(file::NAME).map(|name| name.text.as_str())
    }

    // --- errors and warnings ---

    pub(super) fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// Notes an error of a setting.
    pub(super) fn error(&mut self, setting: &Setting, expected: &str) {
        let value = match self.text_or_default(setting) {
            Some(_) if setting.secret => WITHHELD.to_owned(),
            value => value.unwrap_or_default(),
        };
        let variables = &self.environment.variables;
        let near = Some(&value).filter(|value| value.is_empty());
        let near = near.and_then(|_| suggest::near_variable(setting.env, variables));
        let near = near.map(|near| format!("; {near}")).unwrap_or_default();
        let place = self.place(setting);
        self.note(place, &value, &format!("{expected}{near}"));
    }

    /// Notes an error of a secret variable that belongs to no setting.
    pub(super) fn error_of_variable(&mut self, name: &str, expected: &str) {
        self.note(name.to_owned(), WITHHELD, expected);
    }

    /// Refuses a setting that would have no effect, unless a platform may have set it for everything that runs there.
    pub(super) fn refuse(&mut self, setting: &Setting, expected: &str) {
        if self.is_chosen(setting) {
            self.error(setting, expected);
        }
    }

    /// Notes an error of an entry's name, or of the id that stands in for it.
    pub(super) fn error_of_name(&mut self, value: &str, expected: &str) {
        let place = self.entry_place(file::NAME, None);
        self.note(place, value, expected);
    }

    /// Notes a warning, which `run`, `config` and `check` show.
    pub(super) fn warn(&mut self, setting: &Setting, words: &str) {
        let place = self.origin(setting);
        let place = place.unwrap_or_else(|| self.place(setting));
        self.note_warning(format!("{place}: {}", sanitize(words)));
    }

    /// Warns of a variable that belongs to no setting.
    pub(super) fn warn_of_variable(&mut self, name: &str, words: &str) {
        self.note_warning(format!("{name}: {words}"));
    }

    /// Warns of other credentials in the environment than those that are `used`; `signs` says what is used instead.
    pub(super) fn warn_of_others(&mut self, used: KindOfCredentials, signs: &str) {
        for other in other_credentials::found(self.environment.env, used) {
            let words = format!("{} are not used: {signs}", other.words);
            self.warn_of_variable(other.variable, &words);
        }
    }

    fn note_warning(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn note(&mut self, setting: String, value: &str, expected: &str) {
        let error = SettingError::of(setting, value, expected);
        // Settings that several workspaces share are read for each of them.
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Quotes come from files that are not shell scripts (`docker run --env-file`) and from YAML in YAML.
    fn checked<T>(
        &mut self,
        setting: &Setting,
        text: &str,
        value: Result<T, Expected>,
    ) -> Option<T> {
        let in_quotes =
            |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        let expected = match (value, ['"', '\''].into_iter().any(in_quotes)) {
            (Ok(_), true) if setting.value == "PATH" => "the path without quotes".to_owned(),
            (Ok(_), _) if ["PATH", "ARN"].contains(&setting.value) && holds_placeholder(text) => {
                format!("the real {}", setting.value)
            }
            (Ok(value), _) => return Some(value),
            (Err(Expected(expected)), false) => expected,
            (Err(Expected(expected)), true) => format!("{expected}, without quotes"),
        };
        self.error(setting, &expected);
        None
    }

    // --- places ---

    /// Where each configured setting was set.
    pub(super) fn origins(&self) -> Origins {
        ALL.iter()
            .filter_map(|setting| Some((setting.flag, self.origin(setting)?)))
            .collect()
    }

    /// Where the effective value was set, if it was: `--region`, `AWS_REGION` or `config.yaml, line 3`.
    pub(super) fn origin(&self, setting: &Setting) -> Option<String> {
        let (_, place) = self.find(setting)?;
        Some(match place {
            FoundAt::Entry(line) | FoundAt::Top(line) => format!("{}, line {line}", self.file.path),
            FoundAt::Flag => format!("--{}", setting.flag),
            FoundAt::Variable(name) => name.to_owned(),
        })
    }

    /// Where the effective value was set; if it was not, where it could be.
    fn place(&self, setting: &Setting) -> String {
        let key = setting.key();
        match self.find(setting) {
            Some((_, FoundAt::Entry(line))) => self.entry_place(&key, Some(line)),
            Some((_, FoundAt::Top(line))) => file::place(&self.file.path, &key, Some(line)),
            None if self.entry.is_some() => self.entry_place(&key, None),
            _ => format!("--{} ({})", setting.flag, setting.env.join(", ")),
        }
    }

    fn entry_place(&self, key: &str, line: Option<usize>) -> String {
        let n = self.entry.unwrap_or_default();
        let key = format!("{}[{n}].{key}", file::WORKSPACES);
        file::place(&self.file.path, &key, line)
    }

    fn text_or_default(&self, setting: &Setting) -> Option<String> {
        let default = || setting.fixed_default().map(str::to_owned);
        self.text(setting).or_else(default)
    }

    fn find(&self, setting: &Setting) -> Option<(String, FoundAt)> {
        let entry = || {
            let found = self.in_entry(setting)?;
            Some((found.text.clone(), FoundAt::Entry(found.line)))
        };
        let flag = || Some(((self.flag)(setting)?.trim().to_owned(), FoundAt::Flag));
        let top = || {
            let found = self.at_top(setting)?;
            Some((found.text.clone(), FoundAt::Top(found.line)))
        };
        entry()
            .or_else(flag)
            .or_else(|| self.variable(setting))
            .or_else(top)
    }

    fn in_entry(&self, setting: &Setting) -> Option<&YamlText> {
        let entry = self.file.workspaces.get(self.entry?)?;
        entry.get(&setting.key())
    }

    fn at_top(&self, setting: &Setting) -> Option<&YamlText> {
        self.file.top.get(&setting.key())
    }

    fn variable(&self, setting: &Setting) -> Option<(String, FoundAt)> {
        if self.ignores_variables(setting) {
            return None;
        }
        setting.env.iter().find_map(|name| {
            let value = (self.environment.env)(name)?.trim().to_owned();
            (!value.is_empty()).then_some((value, FoundAt::Variable(name)))
        })
    }

    /// AWS_IGNORE_CONFIGURED_ENDPOINT_URLS applies to these variables.
    fn ignores_variables(&self, setting: &Setting) -> bool {
        let names_endpoint = |name: &&str| name.starts_with("AWS_ENDPOINT_URL");
        let ignore = || self.text(&settings::IGNORE_CONFIGURED_ENDPOINT_URLS);
        setting.env.iter().any(names_endpoint)
            && ignore().is_some_and(|text| values::switch(&text) == Ok(true))
    }
}

fn read_file(path: &str) -> Result<String, Expected> {
    let bytes =
        std::fs::read(path).map_err(|error| Expected(format!("a readable YAML file ({error})")))?;
    if bytes.len() > LARGEST_FILE {
        return Err(Expected("a YAML file of at most 1 MiB".into()));
    }
    String::from_utf8(bytes).map_err(|_| Expected("a YAML file in UTF-8".into()))
}
