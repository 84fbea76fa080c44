//! Which API's clients read an error.

/// The form of an API's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorForm {
    Prometheus,
    Alertmanager,
}
