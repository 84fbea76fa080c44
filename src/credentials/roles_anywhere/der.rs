//! DER, as far as a certificate needs it: an element after the other, each with its tag.
//!
//! In: bytes that were not verified. Out: slices of them, or nothing if a length does not fit. Nothing is copied, and nothing recurses. `x509-parser`
//! was rejected: it brings twelve crates and 250 KB for seven fields; the tests compare the two.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[n] EXPLICIT`.
pub(super) const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

/// The elements of a content, in order; ends at the first that is not whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(super) fn of(content: &'a [u8]) -> Self {
        Self(content)
    }

    /// The next element, which must have this tag.
    pub(super) fn element(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element if it has this tag; otherwise it stays.
    pub(super) fn element_if(&mut self, tag: u8) -> Option<Element<'a>> {
        let mut ahead = *self;
        let element = ahead.element(tag)?;
        *self = ahead;
        Some(element)
    }

    /// The elements inside of the next one, which must have this tag and hold nothing but whole elements.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        let inside = Self(self.element(tag)?.content);
        let mut ahead = inside;
        ahead.by_ref().for_each(drop);
        ahead.0.is_empty().then_some(inside)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let all = self.0;
        let (&[tag, first], rest) = all.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // 16 MiB is more than any file that is read.
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits
                    .iter()
                    .fold(0, |n, digit| n << 8 | usize::from(*digit));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = all.get(..all.len() - rest.len())?;
        self.0 = rest;
        Some(Element {
            tag,
            content,
            whole,
        })
    }
}
