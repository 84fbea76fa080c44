//! A body is called malformed only where snap or prost cannot take it, and no more is unpacked than is allowed.

use amp_sidecar::remote_write::contents::Contents;
use amp_sidecar::remote_write::inspect::{self, Inspected, Inspector, Malformed, Version};

use super::decoded;

/// More than what a fuzzer's input can unpack to without being called impossible.
const ROOM: usize = 1 << 21;

/// The first byte chooses version and cap, the rest is the body.
pub fn holds(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else {
        return;
    };
    let version = if choice & 1 == 0 {
        Version::V1
    } else {
        Version::V2
    };
    let cap = if choice & 2 == 0 { ROOM } else { 256 };
    let inspected = Inspector::new().inspect(body, version, cap);
    let declared = snap::raw::decompress_len(body)
        .ok()
        .filter(|_| !body.is_empty());
    let message = declared
        .filter(|declared| *declared <= ROOM)
        .and_then(|declared| {
            let mut message = vec![0; declared];
            let len = snap::raw::Decoder::new().decompress(body, &mut message);
            len.ok().map(|len| message[..len].to_vec())
        });
    let counted = message
        .as_ref()
        .map(|message| decoded::contents(message, version));
    match &inspected {
        Ok(Inspected::Counted(contents)) => {
            assert!(declared.is_some_and(|declared| declared <= cap));
            assert_eq!(counted, Some(Some(*contents)));
        }
        // An empty batch in one version, and in the other one that holds something.
        Ok(Inspected::OtherVersion) => {
            assert_eq!(counted, Some(Some(Contents::default())));
            let message = message.as_ref().unwrap();
            let other = match version {
                Version::V1 => Version::V2,
                Version::V2 => Version::V1,
            };
            assert!(decoded::contents(message, other).is_some_and(|held| held.series > 0));
        }
        // Sound as far as its size goes; what is in it nobody has looked at.
        Ok(Inspected::TooLarge { declared: said }) => {
            assert_eq!(declared.map(|declared| declared as u64), Some(*said));
            assert!(*said > cap as u64);
        }
        Err(Malformed::Wire(_)) => assert_eq!(counted, Some(None), "{inspected:?}"),
        Err(_) => assert_eq!(counted, None, "{inspected:?}"),
    }
    match inspect::unpack(body, cap) {
        Ok(Some(unpacked)) => assert_eq!(Some(unpacked), message),
        Ok(None) => assert!(matches!(inspected, Ok(Inspected::TooLarge { .. }))),
        Err(_) => assert_eq!(message, None),
    }
    if let Ok(len) = inspect::unpacked_len(body) {
        assert_eq!(Some(len), declared);
        assert!(
            len <= body.len().saturating_mul(22),
            "{len} of {}",
            body.len()
        );
    }
}
