//! What all rows share: the programs and the form.

use std::path::PathBuf;

use super::form::Form;
use crate::peers::sidecar::Program;

/// What all rows share.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The proxy under test.
    pub program: Program,
    /// The Prometheus that sends.
    pub prometheus: PathBuf,
    /// The vmagent that sends.
    pub vmagent: PathBuf,
    /// How long everything takes.
    pub form: Form,
}
