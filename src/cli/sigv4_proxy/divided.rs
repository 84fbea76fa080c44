//! Divides a command line into our own arguments and those of aws-sigv4-proxy.

use std::ffi::OsString;

use super::flags::{Effect, ForeignFlag, known};
use crate::config::ALL;

/// A command line, divided.
#[derive(Default)]
pub(super) struct Divided {
    /// Ours, and all that is in neither, in their order.
    pub(super) ours: Vec<OsString>,
    /// Theirs with the last value of each, empty for a switch.
    theirs: Vec<(&'static ForeignFlag, String)>,
}

// === impl Divided ===

impl Divided {
    pub(super) fn of(arguments: Vec<OsString>) -> Self {
        let mut divided = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let word = argument.to_str().unwrap_or_default();
            if let Some((found, attached)) = known(word) {
                let value = match attached {
                    None if found.takes_value => arguments.next().unwrap_or_default(),
                    attached => attached.unwrap_or_default().into(),
                };
                let value = value.to_string_lossy().into_owned();
                divided.theirs.retain(|(flag, _)| flag.flag != found.flag);
                // A switch that is given and off is as good as none.
                if found.takes_value || value != "false" {
                    divided.theirs.push((found, value));
                }
                continue;
            }
            let takes_next = word.strip_prefix("--").is_some_and(|flag| {
                let mut settings = ALL.iter();
                settings.any(|setting| setting.flag == flag && !setting.value.is_empty())
            });
            divided.ours.push(argument);
            // The value of one of our settings may look like an argument of theirs.
            if takes_next {
                divided.ours.extend(arguments.next());
            }
        }
        divided
    }

    pub(super) fn has_theirs(&self) -> bool {
        !self.theirs.is_empty()
    }

    pub(super) fn theirs(&self) -> impl Iterator<Item = (&'static ForeignFlag, &str)> {
        self.theirs
            .iter()
            .map(|(flag, value)| (*flag, value.as_str()))
    }

    /// The value of the one with this effect.
    pub(super) fn value(&self, effect: Effect) -> Option<&str> {
        let mut of_effect = self.theirs().filter(|(flag, _)| flag.effect == effect);
        of_effect.next().map(|(_, value)| value)
    }

    /// Whether one of our flags is given.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.position(flag).is_some()
    }

    /// The value of one of our flags.
    pub(super) fn ours(&self, flag: &str) -> Option<String> {
        let at = self.position(flag)?;
        let word = self.ours.get(at)?.to_str()?;
        match word.split_once('=') {
            Some((_, value)) => Some(value.to_owned()),
            None => self.ours.get(at + 1)?.to_str().map(str::to_owned),
        }
    }

    /// Removes one of our flags with its value.
    pub(super) fn remove(&mut self, flag: &str) {
        if let Some(at) = self.position(flag) {
            let removed = self.ours.remove(at);
            let has_value = removed.to_str().is_some_and(|word| word.contains('='));
            if !has_value && at < self.ours.len() {
                self.ours.remove(at);
            }
        }
    }

    fn position(&self, flag: &str) -> Option<usize> {
        let is = |word: &str| {
            let given = word.strip_prefix("--");
            given.is_some_and(|given| given.split('=').next() == Some(flag))
        };
        let mut words = self.ours.iter();
        words.position(|word| word.to_str().is_some_and(is))
    }
}
