//! Stub.
use super::inspect::Contents;
use bytes::Bytes;
/// c
#[derive(Debug)]
pub struct Converted {
    /// c
    pub contents: Contents,
}
impl Converted {
    /// p
    pub fn pack(&self) -> Result<Bytes, snap::Error> {
        Ok(Bytes::new())
    }
}
/// c
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ConvertError;
/// c
pub fn to_v1(_m: &[u8], _max: usize) -> Result<Converted, ConvertError> {
    Err(ConvertError)
}
