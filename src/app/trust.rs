//! Logs trusted certificates that cannot be read as incidents.

use crate::net::tls::NotTrusted;
use crate::remedies::running::TRUSTED_FILES;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};

/// The incident's kind; it lasts until the certificates can be read.
pub(super) fn trust_incidents(
    incidents: IncidentTracker,
    kind: &'static str,
) -> impl Fn(Result<(), NotTrusted>) {
    move |result| match result {
        Ok(()) => incidents.recover(),
        Err(error) => incidents.fail(kind, || Diagnosis::new(&error, TRUSTED_FILES)),
    }
}
