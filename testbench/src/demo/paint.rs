//! Colour, on a terminal only.

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

/// What a text is to say beyond its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Faint,
    Strong,
    Good,
    Warning,
    Bad,
}

// === impl Paint ===

impl Paint {
    /// As <https://no-color.org> specifies: none if the variable is set and not empty.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "it is about the terminal, not about a setting"
    )]
    pub fn on(is_terminal: bool) -> Self {
        Self(is_terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()))
    }

    pub(super) const ALWAYS: Self = Self(true);
    pub(super) const NEVER: Self = Self(false);

    pub(super) fn text(self, tone: Tone, text: &str) -> String {
        match tone.code() {
            Some(code) if self.0 => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

// === impl Tone ===

impl Tone {
    /// Its code for terminals.
    pub(super) fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Faint => Some("2"),
            Self::Strong => Some("1"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("31;1"),
        }
    }

    /// Good if there is none of it.
    pub(super) fn of_losses(number: u64) -> Self {
        if number == 0 { Self::Good } else { Self::Bad }
    }
}
