//! What to do about one error.

use std::fmt;

use super::Remedy;

/// The rows of the table that an error points to: one, or several if its message does not distinguish them. Log, `/readyz` and status page
/// show it as one line; `check` lists the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    rows: Vec<Remedy>,
    /// The same with the values of this case, as one sentence.
    here: Option<String>,
}

// === impl Advice ===

impl Advice {
    /// One of these rows, the likeliest first.
    #[must_use]
    pub(crate) fn any(rows: impl Into<Vec<Remedy>>) -> Self {
        Self {
            rows: rows.into(),
            here: None,
        }
    }

    /// With the values of this case: a sentence that stands for the rows where there is room for one line only.
    #[must_use]
    pub(crate) fn here(self, here: impl Into<String>) -> Self {
        Self {
            here: Some(here.into()).filter(|here| !here.is_empty()),
            ..self
        }
    }

    /// With something that is true as well.
    #[must_use]
    pub(crate) fn and(self, more: Option<String>) -> Self {
        match more {
            Some(more) => {
                let here = format!("{self}; {more}");
                self.here(here)
            }
            None => self,
        }
    }

    /// The rows, the likeliest first.
    #[must_use]
    pub fn rows(&self) -> &[Remedy] {
        &self.rows
    }

    /// The values of this case, if it has any.
    #[must_use]
    pub fn values(&self) -> &str {
        self.here.as_deref().unwrap_or_default()
    }
}

impl From<Remedy> for Advice {
    fn from(row: Remedy) -> Self {
        Self::any([row])
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(here) = &self.here {
            return f.write_str(here);
        }
        for (n, row) in self.rows.iter().enumerate() {
            let between = if n == 0 { "" } else { "; or: " };
            write!(f, "{between}{}", row.remedy)?;
        }
        Ok(())
    }
}
