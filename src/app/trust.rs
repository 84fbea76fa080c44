//! Trusted certificates that cannot be read, in log and incidents.

use crate::net::tls::NotTrusted;
use crate::remedies::running::TRUSTED_FILES;
use crate::telemetry::incidents::{Diagnosis, IncidentTracker};

/// Certificates that are not trusted are an incident of this kind until they are.
pub(super) fn trust_incidents(
    incidents: IncidentTracker,
    kind: &'static str,
) -> impl Fn(Result<(), NotTrusted>) {
    move |result| match result {
        Ok(()) => incidents.recover(),
        Err(error) => incidents.fail(kind, || Diagnosis::new(&error, TRUSTED_FILES)),
    }
}
