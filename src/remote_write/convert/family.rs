//! The metadata of a series of 2.0 as the metadata of its family in 1.0.
//!
//! In 2.0 each series bears type, help and unit; in 1.0 a metric family does, by its own name, which 2.0 does not tell. It is the
//! series' name without the suffix that the type gives it, by the rules by which Prometheus tells which series are of a family
//! (`isSeriesPartOfFamily`, scrape/scrape.go): so AMP holds the same metadata as from a sender of 1.0. Cortex' own receiver of 2.0
//! files it under the name of each series, where whoever looks for a histogram does not find it.
//!
//! A counter keeps `_total`: with it the family is called in Prometheus' text format, without it in OpenMetrics, and the name
//! that is also a series' is found by those who look for either. What is said twice is said once, as Prometheus does: two
//! families of one name and different help are two entries.

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

/// The type, by its number, which is the same in both versions.
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

/// What of a series says how its family is called. Native histograms and quantiles bear their family's name, whatever it ends with.
#[derive(Default)]
struct Named<'a> {
    name: Option<&'a [u8]>,
    is_native_histogram: bool,
    is_quantile: bool,
}

// === impl Family ===

impl<'a> Family<'a> {
    /// The metadata of a series. There is none where it says nothing, as Prometheus writes it where it knows nothing, and none
    /// without a name, for which AMP would refuse the whole batch.
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
            // Not repeated: of what occurs more than once the last counts.
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
    /// A type that 1.0 does not know is an unknown one.
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
