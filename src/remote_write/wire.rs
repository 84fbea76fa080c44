//! Reads protobuf's wire format field by field, without allocating.
//!
//! In: bytes that a sender controls. Out: keys and values in order, or a [`WireError`] with the byte offset. The reader is a
//! shrinking slice: it never allocates and cannot read outside of its message.
//!
//! It accepts exactly what prost accepts (varints of up to ten bytes that need not be minimal, groups down to the same depth)
//! and rejects exactly what prost rejects, because a body that some receiver could decode must never be called malformed. prost
//! itself was rejected here: it allocates for each label, and decoding costs twenty times as much.

#[cfg(test)]
pub(super) mod random;

/// prost's nesting limit for messages and groups, and so ours.
pub(super) const MAX_DEPTH: u32 = 100;

/// An encoding error in protobuf. Offsets count from the start of the whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A varint is truncated or longer than 64 bits.
    #[error("the varint at byte {offset} is cut short or longer than 64 bits")]
    Varint {
        /// Offset of the varint.
        offset: usize,
    },
    /// The field number is 0 or over the format's limit.
    #[error("the key at byte {offset} has no valid field number")]
    FieldNumber {
        /// Offset of the key.
        offset: usize,
    },
    /// Wire type 6 or 7, which are undefined.
    #[error("the key at byte {offset} has the undefined wire type {wire_type}")]
    UndefinedWireType {
        /// Offset of the key.
        offset: usize,
        wire_type: u64,
    },
    /// A known field with a wire type that its values never have.
    #[error("field {number}, whose value is at byte {offset}, has the wrong wire type")]
    WrongWireType {
        /// Offset of the value.
        offset: usize,
        /// The field number.
        number: u32,
    },
    /// A value is longer than the message that contains it.
    #[error("the value at byte {offset} runs past the end of its message")]
    Truncated {
        /// Offset of the value.
        offset: usize,
    },
    /// A group ends that did not begin, or that is not the open one.
    #[error("the group that ends before byte {offset} is not the one that is open")]
    GroupEnd {
        /// Offset after the key.
        offset: usize,
    },
    /// Groups nest deeper than any decoder accepts.
    #[error("groups are nested too deep at byte {offset}")]
    TooDeep {
        /// Offset at which the depth is exceeded.
        offset: usize,
    },
}

/// The encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireType {
    Varint,
    Fixed64,
    Delimited,
    GroupStart,
    GroupEnd,
    Fixed32,
}

/// A field's number and wire type.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldKey {
    pub(super) number: u32,
    pub(super) wire_type: WireType,
}

/// A field with key and value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) key: FieldKey,
    /// All bytes of the field, key included.
    pub(super) raw: &'a [u8],
    /// The bytes after the key, or after the length if there is one.
    pub(super) value: Reader<'a>,
}

/// The unread rest of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Offset of the message's end in the outermost message, so that offsets cost nothing until there is an error to report.
    end: usize,
}

/// Writes a varint in its shortest form.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self {
            rest: message,
            end: message.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn offset(&self) -> usize {
        self.end.saturating_sub(self.rest.len())
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Continues at `rest`, which must be a suffix of the unread bytes.
    pub(super) fn skip_to(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        let mut bytes = self.rest.iter();
        for (place, byte) in bytes.by_ref().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                if place == 9 && *byte > 1 {
                    break;
                }
                self.rest = bytes.as_slice();
                return Ok(value);
            }
        }
        Err(WireError::Varint {
            offset: self.offset(),
        })
    }

    #[inline]
    pub(super) fn key(&mut self) -> Result<FieldKey, WireError> {
        let offset = self.offset();
        let key = self.varint()?;
        let wire_type = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Delimited,
            3 => WireType::GroupStart,
            4 => WireType::GroupEnd,
            5 => WireType::Fixed32,
            wire_type => return Err(WireError::UndefinedWireType { offset, wire_type }),
        };
        match u32::try_from(key) {
            Ok(key) if key >> 3 != 0 => Ok(FieldKey {
                number: key >> 3,
                wire_type,
            }),
            _ => Err(WireError::FieldNumber { offset }),
        }
    }

    #[inline]
    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], WireError> {
        let split = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length));
        match split {
            Some((value, rest)) => {
                self.rest = rest;
                Ok(value)
            }
            None => Err(WireError::Truncated {
                offset: self.offset(),
            }),
        }
    }

    /// A length-delimited value: a string, a message, packed numbers.
    #[inline]
    pub(super) fn delimited(&mut self) -> Result<Reader<'a>, WireError> {
        let length = self.varint()?;
        let rest = self.take(length)?;
        Ok(Reader {
            rest,
            end: self.offset(),
        })
    }

    /// The next field of any kind.
    pub(super) fn field(&mut self) -> Result<Option<Field<'a>>, WireError> {
        if self.is_empty() {
            return Ok(None);
        }
        let before = *self;
        let key = self.key()?;
        let value = if key.wire_type == WireType::Delimited {
            self.delimited()?
        } else {
            let value = *self;
            self.skip(key, MAX_DEPTH)?;
            value.until(*self)
        };
        Ok(Some(Field {
            key,
            raw: before.until(*self).rest,
            value,
        }))
    }

    /// The bytes between here and `later`, which has read on from here.
    pub(super) fn until(self, later: Self) -> Self {
        let length = self.rest.len().saturating_sub(later.rest.len());
        Self {
            rest: self.rest.get(..length).unwrap_or_default(),
            end: later.offset(),
        }
    }

    /// Skips a value that the schema does not know. `depth` is what is left of [`MAX_DEPTH`].
    pub(super) fn skip(&mut self, key: FieldKey, depth: u32) -> Result<(), WireError> {
        let offset = self.offset();
        let Some(below) = depth.checked_sub(1) else {
            return Err(WireError::TooDeep { offset });
        };
        match key.wire_type {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.take(8).map(drop),
            WireType::Fixed32 => self.take(4).map(drop),
            WireType::Delimited => self.delimited().map(drop),
            WireType::GroupStart => loop {
                let inner = self.key()?;
                if inner.wire_type != WireType::GroupEnd {
                    self.skip(inner, below)?;
                } else if inner.number == key.number {
                    return Ok(());
                } else {
                    return Err(WireError::GroupEnd {
                        offset: self.offset(),
                    });
                }
            },
            WireType::GroupEnd => Err(WireError::GroupEnd { offset }),
        }
    }
}
