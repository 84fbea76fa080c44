//! A batch of 2.0 written as 1.0 says what prost's types say, within its limit, or names what cannot be written.

use amp_sidecar::remote_write::convert::{self, ConvertError};
use amp_sidecar::remote_write::inspect::{self, Version};
use prost::Message;
use remote_write_proto::as_bytes::{v1, v2};

use super::as_v1;

/// More than what most inputs become, and little enough to be written thousands of times a second.
const LIMIT: usize = 1 << 20;

/// The input is the message.
pub fn holds(message: &[u8]) {
    let sound = inspect::count(message, Version::V2);
    let converted = match convert::to_v1(message, LIMIT) {
        Err(ConvertError::Malformed(why)) => return assert_eq!(sound, Err(why)),
        Err(ConvertError::TooLarge { length, limit }) => {
            assert!(length > limit);
            return assert_eq!(convert::v1_len(message), Ok(length));
        }
        converted => converted,
    };
    let mut counted = sound.unwrap();
    let request = v2::Request::decode(message).unwrap();
    let meant = as_v1::convert(&request);
    let Ok(converted) = converted else {
        return assert_eq!(meant, None, "{converted:?}");
    };
    let meant = meant.unwrap();
    let mut said = v1::WriteRequest::decode(&*converted.message).unwrap();
    said.metadata.sort_by_key(|one| {
        (
            one.metric_family_name.clone(),
            one.r#type,
            one.unit.clone(),
            one.help.clone(),
        )
    });
    assert_eq!(as_v1::bytes(&said), as_v1::bytes(&meant));
    counted.metadata = meant.metadata.len() as u64;
    assert_eq!(converted.contents, counted);
    assert_eq!(inspect::count(&converted.message, Version::V1), Ok(counted));
    let length = converted.message.len();
    assert_eq!(convert::v1_len(message), Ok(length));
    assert_eq!(convert::to_v1(message, length).as_ref(), Ok(&converted));
    if let Some(limit) = length.checked_sub(1) {
        let over = Err(ConvertError::TooLarge { length, limit });
        assert_eq!(convert::to_v1(message, limit), over);
    }
}
