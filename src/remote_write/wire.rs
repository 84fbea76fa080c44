//! Reads protobuf's wire format, one field at a time, without building anything.
//!
//! In: bytes that a sender controls. Out: keys and values in turn, or the [`WireError`] with the byte it lies
//! at. The reader is a slice that gets shorter: it never allocates and cannot read outside of its message.
//!
//! It takes exactly what prost takes (varints of up to ten bytes that need not be minimal, groups down to
//! the same depth) and refuses exactly what prost refuses, because a body that some receiver could decode
//! must never be called broken. prost itself was rejected here: it allocates for each label, and decoding
//! costs twenty times what the walk costs.

#[cfg(test)]
pub(super) mod random;

/// How deep prost lets messages and groups nest, and so how deep we do.
pub(super) const MAX_DEPTH: u32 = 100;

/// What is wrong with bytes that claim to be protobuf. Offsets count from the start of the whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A varint is cut short, or does not end within 64 bits.
    #[error("the varint at byte {offset} is cut short or longer than 64 bits")]
    Varint {
        /// Where the varint begins.
        offset: usize,
    },
    /// The field number is 0 or over the format's limit.
    #[error("the key at byte {offset} has no valid field number")]
    FieldNumber {
        /// Where the key begins.
        offset: usize,
    },
    /// Wire types 6 and 7 mean nothing.
    #[error("the key at byte {offset} has the undefined wire type {wire_type}")]
    UndefinedWireType {
        /// Where the key begins.
        offset: usize,
        /// The wire type found.
        wire_type: u64,
    },
    /// A field of the schema comes with a wire type that its values never have.
    #[error("field {number}, whose value is at byte {offset}, has the wrong wire type")]
    WrongWireType {
        /// Where the value begins.
        offset: usize,
        /// The field.
        number: u32,
    },
    /// A value is longer than the message that holds it.
    #[error("the value at byte {offset} runs past the end of its message")]
    Truncated {
        /// Where the value begins.
        offset: usize,
    },
    /// A group ends that has not begun, or another one is open.
    #[error("the group that ends before byte {offset} is not the one that is open")]
    GroupEnd {
        /// The byte after the key.
        offset: usize,
    },
    /// Groups nest deeper than any decoder follows.
    #[error("groups are nested too deep at byte {offset}")]
    TooDeep {
        /// Where the depth is exceeded.
        offset: usize,
    },
}

/// How a value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireType {
    Varint,
    Fixed64,
    Delimited,
    GroupStart,
    GroupEnd,
    Fixed32,
}

/// What stands before each value.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldKey {
    pub(super) number: u32,
    pub(super) wire_type: WireType,
}

/// One field, key and value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) key: FieldKey,
    /// All of it as it came, key included.
    pub(super) raw: &'a [u8],
    /// What stands behind the key, or behind the length where there is one.
    pub(super) value: Reader<'a>,
}

/// What is left to read of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Where this message ends, counted from the start of the outermost one: with it an offset costs
    /// nothing until there is a fault to report.
    end: usize,
}

/// Writes a varint as short as it can be.
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

    /// Goes on at `rest`, which must be the end of what is left.
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

    /// A value that stands behind its length: a string, a message, packed numbers.
    #[inline]
    pub(super) fn delimited(&mut self) -> Result<Reader<'a>, WireError> {
        let length = self.varint()?;
        let rest = self.take(length)?;
        Ok(Reader {
            rest,
            end: self.offset(),
        })
    }

    /// The next field, whatever it holds.
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

    /// What lies between here and `later`, which has read on from here.
    pub(super) fn until(self, later: Self) -> Self {
        let length = self.rest.len().saturating_sub(later.rest.len());
        Self {
            rest: self.rest.get(..length).unwrap_or_default(),
            end: later.offset(),
        }
    }

    /// Passes over a value that the schema does not know. `depth` is what is left of [`MAX_DEPTH`].
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
