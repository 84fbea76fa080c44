//! Converts the metadata of a 2.0 series to the metadata of its family in 1.0.
//!
//! In 2.0 each series has type, help and unit; in 1.0 a metric family has them, under its own name, which 2.0 does not contain.
//! It is the series' name without the suffix of the type, by the rules with which Prometheus assigns series to a family
//! (`isSeriesPartOfFamily`, scrape/scrape.go): so AMP gets the same metadata as from a 1.0 sender. Cortex' own 2.0 receiver
//! stores it under the name of each series, where nobody looking for a histogram finds it.
//!
//! A counter keeps `_total`: the text format's family name includes it, OpenMetrics' does not, and a name that is also the
//! series' is found either way. Duplicates are dropped, as Prometheus does; the same family with different help gives two
//! entries.

use crate::remote_write::convert::read::{ConvertError, SeriesFields, each, reference, v2};
use crate::remote_write::convert::sink::Sink;
use crate::remote_write::convert::symbols::Symbols;

/// An entry of metadata. Ordered, so that the same batch always becomes the same message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Family<'a> {
    name: &'a [u8],
    kind: Kind,
    unit: &'a [u8],
    help: &'a [u8],
}

/// The type's number, equal in both versions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind(u8);

mod kind {
    pub(super) const HISTOGRAM: u8 = 3;
    pub(super) const GAUGE_HISTOGRAM: u8 = 4;
    pub(super) const SUMMARY: u8 = 5;
    pub(super) const INFO: u8 = 6;
    pub(super) const LAST: u8 = 7;
}

mod v1 {
    pub(super) const TYPE: u8 = 1 << 3;
    pub(super) const NAME: u8 = 2 << 3 | 2;
    pub(super) const HELP: u8 = 4 << 3 | 2;
    pub(super) const UNIT: u8 = 5 << 3 | 2;
}

/// The part of a series that determines its family's name. Native histograms and quantiles have their family's name whatever
/// its suffix.
#[derive(Default)]
struct Named<'a> {
    name: Option<&'a [u8]>,
    is_native_histogram: bool,
    is_quantile: bool,
}

// === impl Family ===

impl<'a> Family<'a> {
    /// The metadata of a series. `None` if it is empty, which is what Prometheus sends for unknown metadata, or has no name,
    /// for which AMP would refuse the whole batch.
    pub(super) fn of(
        series: SeriesFields<'a>,
        symbols: &Symbols<'a>,
    ) -> Result<Option<Self>, ConvertError> {
        let (mut kind, mut help, mut unit) = (0, 0, 0);
        let (mut named, mut has_metadata) = (Named::default(), false);
        each(series.fields, |field| {
            named.is_native_histogram |= field.key.number == v2::HISTOGRAMS;
            if field.key.number != v2::METADATA {
                return Ok(());
            }
            has_metadata = true;
            // Not repeated: the last occurrence counts.
            each(field.value, |field| {
                let mut value = field.value;
                match field.key.number {
                    1 => kind = reference(&mut value)?,
                    3 => help = reference(&mut value)?,
                    4 => unit = reference(&mut value)?,
                    _ => {}
                }
                Ok(())
            })
        })?;
        if !has_metadata {
            return Ok(None);
        }
        let kind = Kind::of(kind);
        let help = symbols.get(help, series)?;
        let unit = symbols.get(unit, series)?;
        if kind == Kind::of(0) && help.is_empty() && unit.is_empty() {
            return Ok(None);
        }
        symbols.each_label(series.fields, series, |name, value| {
            match name {
                b"__name__" => _ = named.name.get_or_insert(value),
                b"quantile" => named.is_quantile = true,
                _ => {}
            }
            Ok(())
        })?;
        let name = kind.family(&named).unwrap_or_default();
        let family = Self {
            name,
            kind,
            unit,
            help,
        };
        Ok((!name.is_empty()).then_some(family))
    }

    pub(super) fn write(&self, out: &mut impl Sink) {
        if self.kind.0 != 0 {
            out.put(&[v1::TYPE, self.kind.0]);
        }
        out.text(v1::NAME, self.name);
        if !self.help.is_empty() {
            out.text(v1::HELP, self.help);
        }
        if !self.unit.is_empty() {
            out.text(v1::UNIT, self.unit);
        }
    }
}

// === impl Kind ===

impl Kind {
    /// A type that 1.0 does not have becomes `unknown`.
    fn of(number: u32) -> Self {
        let known = u8::try_from(number).ok().filter(|kind| *kind <= kind::LAST);
        Self(known.unwrap_or_default())
    }

    fn family<'a>(self, series: &Named<'a>) -> Option<&'a [u8]> {
        let name = series.name?;
        let suffixes: &[&[u8]] = match self.0 {
            kind::HISTOGRAM | kind::GAUGE_HISTOGRAM if series.is_native_histogram => &[],
            kind::SUMMARY if series.is_quantile => &[],
            kind::HISTOGRAM => &[b"_bucket", b"_sum", b"_count"],
            kind::GAUGE_HISTOGRAM => &[b"_bucket", b"_gsum", b"_gcount"],
            kind::SUMMARY => &[b"_sum", b"_count"],
            kind::INFO => &[b"_info"],
            _ => &[],
        };
        let bare = suffixes
            .iter()
            .find_map(|suffix| name.strip_suffix(*suffix));
        bare.filter(|bare| !bare.is_empty()).or(Some(name))
    }
}
