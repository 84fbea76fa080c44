//! The output of a message: memory, or a count of the bytes needed.
//!
//! A nested message follows its length, so the same code runs twice: it counts the length first, then writes.

use crate::remote_write::convert::read::ConvertError;
use crate::remote_write::wire::put_varint;

/// Receives the bytes of a message in order.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    /// A key, the length of its value, and the value, which `write` writes.
    fn delimited(
        &mut self,
        key: u8,
        length: Length,
        write: impl FnOnce(&mut Self) -> Result<(), ConvertError>,
    ) -> Result<(), ConvertError>;

    /// A key and a string.
    fn text(&mut self, key: u8, text: &[u8]);
}

/// Counts bytes. It saturates: an overflow exceeds any limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Length(pub(super) usize);

// === impl Length ===

impl Length {
    fn add(&mut self, more: usize) {
        self.0 = self.0.saturating_add(more);
    }

    /// A key of one byte, and the length of a value.
    fn add_head(&mut self, length: usize) {
        let bits = usize::BITS - (length | 1).leading_zeros();
        self.add(1 + bits.div_ceil(7) as usize);
    }
}

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.add(bytes.len());
    }

    fn delimited(
        &mut self,
        _: u8,
        length: Length,
        _: impl FnOnce(&mut Self) -> Result<(), ConvertError>,
    ) -> Result<(), ConvertError> {
        self.add_head(length.0);
        self.add(length.0);
        Ok(())
    }

    fn text(&mut self, _: u8, text: &[u8]) {
        self.add_head(text.len());
        self.add(text.len());
    }
}

// === impl Vec ===

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn delimited(
        &mut self,
        key: u8,
        length: Length,
        write: impl FnOnce(&mut Self) -> Result<(), ConvertError>,
    ) -> Result<(), ConvertError> {
        self.push(key);
        put_varint(length.0 as u64, self);
        write(self)
    }

    fn text(&mut self, key: u8, text: &[u8]) {
        self.push(key);
        put_varint(text.len() as u64, self);
        self.extend_from_slice(text);
    }
}
