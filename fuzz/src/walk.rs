//! The walk over a message counts what prost decodes, and refuses what prost refuses, in either version of the schema.

use amp_sidecar::remote_write::inspect::{self, Version};

use super::decoded;

/// The first byte chooses the version, the rest is the message.
pub fn holds(input: &[u8]) {
    let Some((choice, message)) = input.split_first() else {
        return;
    };
    let version = if choice & 1 == 0 {
        Version::V1
    } else {
        Version::V2
    };
    let walked = inspect::count(message, version);
    assert_eq!(
        walked.as_ref().ok(),
        decoded::contents(message, version).as_ref(),
        "{version:?}: the walk says {walked:?}"
    );
}
