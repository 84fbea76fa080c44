//! An X.509 certificate, as far as Roles Anywhere and people need it: RFC 5280's fields, unverified.
//!
//! In: its DER. Out: serial number, names, time, public key, and what it may be used for. Whether it is trusted, only AWS knows.

use std::time::SystemTime;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use super::der::{
    BIT_STRING, BOOLEAN, Element, Elements, GENERALIZED_TIME, INTEGER, OBJECT_ID, OCTET_STRING,
    SEQUENCE, SET, UTC_TIME, context,
};
use crate::credentials::identity_trail::CertificateNames;
use crate::sanitize::sanitize;

/// RFC 5280's longest serial number. Without a limit, a file of one large number would take seconds to write in decimal.
const LONGEST_SERIAL: usize = 20;
/// `[1] IMPLICIT` and `[2] IMPLICIT` of a bit string, which only very old certificates have.
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// The attributes of names that are shown, with their identifiers.
const ATTRIBUTES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
        "UID",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        "DC",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
        "emailAddress",
    ),
];

/// A certificate's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(super) der: Vec<u8>,
    /// The serial number as bytes, without leading zeros.
    serial: Vec<u8>,
    pub(super) subject: Name,
    pub(super) issuer: Name,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    /// The `SubjectPublicKeyInfo`.
    pub(super) public_key: Vec<u8>,
    /// Whether it is a certificate authority's.
    pub(super) is_ca: bool,
    /// Whether its key usage, if it has any, contains `digitalSignature`.
    pub(super) may_sign: bool,
}

/// A distinguished name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    der: Vec<u8>,
    attributes: Vec<(&'static str, String)>,
}

// === impl Certificate ===

impl Certificate {
    /// The certificate in `der`; `None` if it is not one.
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let mut certificate = Elements::of(der).enter(SEQUENCE)?;
        let mut fields = certificate.enter(SEQUENCE)?;
        // The version, which the oldest ones lack.
        fields.element_if(context(0));
        let serial = fields.element(INTEGER)?.content;
        let zeros = serial.iter().take_while(|byte| **byte == 0).count();
        let serial = serial.get(zeros..)?;
        if serial.len() > LONGEST_SERIAL {
            return None;
        }
        fields.element(SEQUENCE)?;
        let issuer = Name::of(fields.element(SEQUENCE)?);
        let mut validity = fields.enter(SEQUENCE)?;
        let not_before = moment(validity.next()?)?;
        let not_after = moment(validity.next()?)?;
        let subject = Name::of(fields.element(SEQUENCE)?);
        let public_key = fields.element(SEQUENCE)?.whole.to_vec();
        let mut parsed = Self {
            der: der.to_vec(),
            serial: serial.to_vec(),
            subject,
            issuer,
            not_before,
            not_after,
            public_key,
            is_ca: false,
            may_sign: true,
        };
        fields.element_if(ISSUER_ID);
        fields.element_if(SUBJECT_ID);
        if let Some(field) = fields.next() {
            (field.tag == context(3)).then_some(())?;
            for extension in Elements::of(field.content).enter(SEQUENCE)? {
                parsed.read_extension(Elements::of(extension.content))?;
            }
        }
        Some(parsed)
    }

    fn read_extension(&mut self, mut extension: Elements<'_>) -> Option<()> {
        let id = extension.element(OBJECT_ID)?.content;
        extension.element_if(BOOLEAN);
        let mut value = Elements::of(extension.element(OCTET_STRING)?.content);
        if id == KEY_USAGE {
            // The first byte counts the unused bits, and digitalSignature is the first bit after it.
            let bits = value.element(BIT_STRING)?.content;
            self.may_sign = bits.get(1).is_some_and(|bits| bits & 0x80 != 0);
        } else if id == BASIC_CONSTRAINTS {
            let is_ca = value.enter(SEQUENCE)?.element_if(BOOLEAN);
            self.is_ca = is_ca.is_some_and(|is_ca| is_ca.content != [0]);
        }
        Some(())
    }

    /// In decimal, as the signature names it.
    #[must_use]
    pub fn serial_decimal(&self) -> String {
        let mut digits = vec![0_u8];
        for byte in &self.serial {
            let mut carry = u32::from(*byte);
            for digit in &mut digits {
                let value = u32::from(*digit) * 256 + carry;
                // Always below ten.
                *digit = u8::try_from(value % 10).unwrap_or_default();
                carry = value / 10;
            }
            while carry > 0 {
                digits.push(u8::try_from(carry % 10).unwrap_or_default());
                carry /= 10;
            }
        }
        digits
            .iter()
            .rev()
            .map(|digit| char::from(b'0' + digit))
            .collect()
    }

    /// In hexadecimal, as openssl shows it.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        hex::encode_upper(&self.serial)
    }

    /// The subject, for people.
    #[must_use]
    pub fn subject(&self) -> String {
        self.subject.to_string()
    }

    /// The subject's common name.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        let mut attributes = self.subject.attributes.iter();
        attributes
            .find(|(name, _)| *name == "CN")
            .map(|(_, value)| value.clone())
    }

    /// What the status page shows of it.
    pub(super) fn names(&self) -> CertificateNames {
        CertificateNames {
            subject: self.subject(),
            issuer: self.issuer(),
            serial: self.serial_hex(),
            not_after: self.not_after,
        }
    }

    /// What it says apart from its names: first and last second, `SubjectPublicKeyInfo`, whether it is a certificate authority's,
    /// and whether its key may sign.
    #[cfg(feature = "internals")]
    #[must_use]
    pub fn facts(&self) -> (SystemTime, SystemTime, &[u8], bool, bool) {
        let Self {
            not_before,
            not_after,
            public_key,
            is_ca,
            may_sign,
            ..
        } = self;
        (*not_before, *not_after, public_key, *is_ca, *may_sign)
    }

    /// The issuer, for people.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.issuer.to_string()
    }

    /// Its last second.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// How much of its life is left at `now`, of 1.
    #[must_use]
    pub fn life_left(&self, now: SystemTime) -> f64 {
        let seconds = |from: SystemTime| {
            let time = self.not_after.duration_since(from);
            time.unwrap_or_default().as_secs_f64()
        };
        seconds(now) / seconds(self.not_before).max(1.0)
    }

    /// Why it is not valid at `now`, unless the clock is wrong.
    #[must_use]
    pub fn out_of_time(&self, now: SystemTime) -> Option<String> {
        let between = |from: SystemTime, until: SystemTime| {
            let time = until.duration_since(from).unwrap_or_default();
            time.as_secs()
        };
        let why = if now > self.not_after {
            format!("ended {} s ago", between(self.not_after, now))
        } else if now < self.not_before {
            format!("begins in {} s only", between(now, self.not_before))
        } else {
            return None;
        };
        Some(format!(
            "the certificate {why}, unless this machine's clock is wrong"
        ))
    }

    /// Whether `other` may have issued it, by its names.
    pub(super) fn is_issued_by(&self, other: &Self) -> bool {
        self.issuer.der == other.subject.der
    }

    /// Whether it is a root, or signed by itself.
    pub(super) fn is_self_issued(&self) -> bool {
        self.is_issued_by(self)
    }
}

// === impl Name ===

impl Name {
    fn of(name: Element<'_>) -> Self {
        let parts = Elements::of(name.content).filter(|part| part.tag == SET);
        let attributes = parts
            .flat_map(|part| Elements::of(part.content))
            .filter_map(|attribute| {
                let mut attribute = Elements::of(attribute.content);
                let id = attribute.element(OBJECT_ID)?.content;
                let (_, name) = ATTRIBUTES.iter().find(|(known, _)| *known == id)?;
                let value = String::from_utf8_lossy(attribute.next()?.content);
                Some((*name, sanitize(&value)))
            });
        Self {
            der: name.whole.to_vec(),
            attributes: attributes.collect(),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, (name, value)) in self.attributes.iter().enumerate() {
            let between = if n == 0 { "" } else { ", " };
            write!(f, "{between}{name}={value}")?;
        }
        Ok(())
    }
}

/// `YYMMDDHHMMSSZ`, whose years are 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn moment(element: Element<'_>) -> Option<SystemTime> {
    let text = std::str::from_utf8(element.content)
        .ok()?
        .strip_suffix('Z')?;
    let (year, rest) = match element.tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i32 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let mut pairs = rest.as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).ok()?;
        digits.parse::<u8>().ok()
    });
    let mut next = || pairs.next().flatten();
    let date = Date::from_calendar_date(year, Month::try_from(next()?).ok()?, next()?).ok()?;
    let time = Time::from_hms(next()?, next()?, next()?).ok()?;
    let moment: OffsetDateTime = PrimitiveDateTime::new(date, time).assume_utc();
    Some(moment.into())
}

#[cfg(test)]
mod tests;
