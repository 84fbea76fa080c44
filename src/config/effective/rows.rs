//! Settings with their values as text, and where those were set.

use crate::config::error::redact_pairs;
use crate::config::model::Origins;
use crate::config::settings::{Row, Setting};

/// A setting with its effective value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EffectiveSetting {
    pub(crate) setting: &'static Setting,
    pub(crate) value: SettingValue,
    /// Where it was set, or its default: `--region`, `AWS_REGION`, `config.yaml, line 3`, `default`.
    pub(crate) from: String,
}

/// The value of a setting, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SettingValue {
    One(String),
    /// The value of a repeatable setting.
    Many(Vec<String>),
}

pub(super) struct Rows<'a> {
    pub(super) rows: Vec<EffectiveSetting>,
    origins: Option<&'a Origins>,
}

// === impl EffectiveSetting ===

impl EffectiveSetting {
    pub(super) fn redacted(mut self) -> Self {
        if let (true, SettingValue::One(text)) = (self.setting.secret, &mut self.value) {
            *text = redact_pairs(text);
        }
        self
    }
}

// === impl Rows ===

impl<'a> Rows<'a> {
    pub(super) fn new(origins: Option<&'a Origins>) -> Self {
        let rows = Vec::new();
        Self { rows, origins }
    }

    pub(super) fn put<T>(&mut self, row: &'static Row<T>, value: &T) {
        self.push(row.setting(), SettingValue::One((row.show)(value)));
    }

    pub(super) fn put_some<T>(&mut self, row: &'static Row<T>, value: Option<&T>) {
        if let Some(value) = value {
            self.put(row, value);
        }
    }

    /// Omitted if there are none.
    pub(super) fn put_list<T>(&mut self, row: &'static Row<T>, values: &[T]) {
        if !values.is_empty() {
            let values = values.iter().map(row.show).collect();
            self.push(row.setting(), SettingValue::Many(values));
        }
    }

    fn push(&mut self, setting: &'static Setting, value: SettingValue) {
        let origin = |setting: &Setting| self.origins?.get(setting.flag).cloned();
        let sources = setting.derived_from.iter();
        let origin = origin(setting).or_else(|| {
            sources
                .map(|setting| origin(setting))
                .find_map(|found| found)
        });
        let from = origin.unwrap_or_else(|| match setting.fixed_default() {
            Some(_) => "default".to_owned(),
            None => setting.shown_default().to_owned(),
        });
        self.rows.push(EffectiveSetting {
            setting,
            value,
            from,
        });
    }
}
