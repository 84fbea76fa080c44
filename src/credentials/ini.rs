//! The syntax of AWS' shared credentials file, as the AWS CLI and botocore read it (Python's `configparser`).
//!
//! In: the text. Out: its sections with their options, or the line that makes no sense and why, which are quoted nowhere: the line may hold a
//! secret.
//!
//! - `[name]` begins a section; what follows the last `]` is ignored. `[DEFAULT]`, in capitals, gives every section its options.
//! - `name = value` or `name: value` is an option. Its name is case-insensitive, white space around both is ignored.
//! - A line that begins with `#` or `;` is a comment; elsewhere both belong to the value.
//! - A line that is indented more than the option above it continues that option's value.
//! - A section or an option that appears twice is an error.

use std::collections::BTreeMap;

/// The section whose options all others have too.
const DEFAULTS: &str = "DEFAULT";

/// A file's sections.
#[derive(Debug, Default)]
pub(super) struct Ini<'a>(BTreeMap<&'a str, Options<'a>>);

/// The lines of each option's value.
type Options<'a> = BTreeMap<String, Vec<&'a str>>;

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct IniError {
    line: usize,
    what: &'static str,
}

// === impl Ini ===

impl<'a> Ini<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, IniError> {
        let mut ini = Self::default();
        let mut section: Option<&str> = None;
        // The open option, and how far it is indented.
        let mut option: Option<(String, usize)> = None;
        for (number, line) in lines(text).enumerate() {
            let wrong = |what| IniError {
                line: number + 1,
                what,
            };
            let content = line.trim();
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            if content.starts_with(['#', ';']) {
                continue;
            }
            if content.is_empty() {
                ini.continued(section, option.as_ref(), "");
                continue;
            }
            if option.as_ref().is_some_and(|(_, above)| indent > *above) {
                ini.continued(section, option.as_ref(), content);
                continue;
            }
            if let Some(name) = header(content) {
                if name != DEFAULTS && ini.0.contains_key(name) {
                    return Err(wrong("a section of this name was there before"));
                }
                ini.0.entry(name).or_default();
                (section, option) = (Some(name), None);
                continue;
            }
            let section = section.ok_or_else(|| wrong(instead_of_section(text, content)))?;
            let (name, value) = content
                .split_once(['=', ':'])
                .ok_or_else(|| wrong("neither [section] nor name = value"))?;
            let name = name.trim_end().to_lowercase();
            if name.is_empty() {
                return Err(wrong("a value without a name"));
            }
            let options = ini.0.entry(section).or_default();
            if options.insert(name.clone(), vec![value.trim()]).is_some() {
                return Err(wrong(
                    "an option of this name was there before in the section",
                ));
            }
            option = Some((name, indent));
        }
        Ok(ini)
    }

    /// The names of the sections.
    pub(super) fn sections(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().copied().filter(|name| *name != DEFAULTS)
    }

    /// Whether there is such a section.
    pub(super) fn contains(&self, section: &str) -> bool {
        section != DEFAULTS && self.0.contains_key(section)
    }

    /// An option's value in a section; lines that continue it follow line breaks.
    pub(super) fn get(&self, section: &str, option: &str) -> Option<String> {
        let of = |section: &str| self.0.get(section)?.get(option);
        let lines = of(section).or_else(|| of(DEFAULTS))?;
        Some(lines.join("\n").trim_end().to_owned())
    }

    /// The names of the options of a section.
    pub(super) fn options(&self, section: &str) -> impl Iterator<Item = &str> {
        let of = |section: &str| self.0.get(section).into_iter().flatten();
        of(section)
            .chain(of(DEFAULTS))
            .map(|(name, _)| name.as_str())
    }

    fn continued(
        &mut self,
        section: Option<&str>,
        option: Option<&(String, usize)>,
        line: &'a str,
    ) {
        let options = section.and_then(|section| self.0.get_mut(section));
        let value = options
            .zip(option)
            .and_then(|(options, (name, _))| options.get_mut(name));
        value.into_iter().for_each(|lines| lines.push(line));
    }
}

/// As Python's universal newlines divide them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// What stands where the first section should begin.
fn instead_of_section(text: &str, line: &str) -> &'static str {
    let shell = ["export ", "set ", "$env:"];
    if text.starts_with('\u{feff}') {
        "the file begins with a byte order mark (BOM): save it as UTF-8 without BOM"
    } else if line.starts_with('{') {
        "this is JSON: a credentials file has [section], then name = value"
    } else if shell.iter().any(|word| line.starts_with(word)) {
        "this is a command of a shell: a credentials file has [section], then name = value"
    } else {
        "an option before the first [section]"
    }
}

fn header(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, section: &str, option: &str) -> Option<String> {
        Ini::parse(text).unwrap().get(section, option)
    }

    #[test]
    fn options_are_found_as_they_are_written_everywhere() {
        for text in [
            "[p]\nkey=v",
            "[p]\r\nKEY = v\r\n",
            "# first\n[p] ; trailing\n; comment\n\tkey  :  v  ",
            "[p]\nother =\n  nested = 1\nkey = v",
            "[p]\nother = 1\n\n  # comment\n  more\nkey = v\n\n\n[q]\nkey = w",
            "[DEFAULT]\nkey = v\n[p]\n",
        ] {
            assert_eq!(value(text, "p", "key").as_deref(), Some("v"), "{text:?}");
        }
        assert_eq!(
            value("[p]\nkey = a = b # c ; d", "p", "key").unwrap(),
            "a = b # c ; d"
        );
        assert_eq!(
            value("[p]\nkey = a\n  b\n\n  c\n\n", "p", "key").unwrap(),
            "a\nb\n\nc"
        );
        assert_eq!(value("[p]\nkey = a\n  b = c\n", "p", "b"), None);
        assert_eq!(value("[p]\nkey =", "p", "key").unwrap(), "");
    }

    #[test]
    fn another_form_of_file_is_named() {
        for (text, words) in [
            ("\u{feff}[p]\nkey = planted", "BOM"),
            ("\u{feff}# comment\n[p]\n", "BOM"),
            ("{\n  \"AccessKeyId\": \"planted\"\n}", "JSON"),
            ("# keys\nexport AWS_ACCESS_KEY_ID=planted", "shell"),
            ("$env:AWS_ACCESS_KEY_ID=\"planted\"", "shell"),
            ("key = planted", "an option before"),
        ] {
            let said = Ini::parse(text).unwrap_err().to_string();
            assert!(said.contains(words) && !said.contains("planted"), "{said}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named_by_its_line_alone() {
        for (text, line) in [
            ("key = planted", 1),
            ("[p]\nplanted", 2),
            ("[p]\n\n= planted", 3),
            ("[p]\nplanted = 1\n[p]\n", 3),
            ("[p]\nplanted = 1\nPLANTED = 2", 3),
            ("\u{feff}[p]\nkey = planted", 1),
        ] {
            let error = Ini::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}");
            assert!(!error.to_string().contains("planted"), "{error}");
        }
    }
}
