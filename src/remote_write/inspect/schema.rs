//! The two remote-write schemas, reduced to what counting needs: each field's type, and what it counts as.
//!
//! A field's number is its index in the table. Fields past a table's end, or marked [`FieldKind::Unknown`], are skipped, as
//! every decoder does with fields of a later schema. The numbers are those of `proto/`; the property tests compare the two.

use crate::remote_write::inspect::fast_path;

/// One message type.
pub(super) struct Message {
    pub(super) fields: &'static [FieldKind],
    /// The fast path for the most common field shapes.
    pub(super) skim: Option<fast_path::Skim>,
}

/// The type of a field.
pub(super) enum FieldKind {
    Unknown,
    Varint,
    /// A varint: when the sample or histogram was taken.
    Timestamp,
    Fixed64,
    /// A string, without a check for UTF-8.
    Text,
    /// Repeated: packed, or one value at a time.
    Varints,
    /// Repeated: packed, or one value at a time.
    Fixed64s,
    Message(&'static Message, Counted),
}

/// The counter that an occurrence of a field adds to.
#[derive(Clone, Copy)]
pub(super) enum Counted {
    Nothing,
    Series,
    Samples,
    Histograms,
    Exemplars,
    Metadata,
    /// Not repeated: a decoder keeps one of several occurrences.
    MetadataOnce,
}

use FieldKind::{Fixed64, Fixed64s, Text, Timestamp, Unknown, Varint, Varints};

const fn message(fields: &'static [FieldKind]) -> Message {
    Message { fields, skim: None }
}

/// `prometheus.WriteRequest`
pub(super) static REQUEST_V1: Message = Message {
    fields: &[
        Unknown,
        FieldKind::Message(&SERIES_V1, Counted::Series),
        Unknown,
        FieldKind::Message(&METADATA_V1, Counted::Metadata),
    ],
    skim: Some(fast_path::request_v1),
};

static METADATA_V1: Message = message(&[Unknown, Varint, Text, Unknown, Text, Text]);

static SERIES_V1: Message = Message {
    fields: &[
        Unknown,
        FieldKind::Message(&LABEL, Counted::Nothing),
        FieldKind::Message(&SAMPLE_V1, Counted::Samples),
        FieldKind::Message(&EXEMPLAR_V1, Counted::Exemplars),
        FieldKind::Message(&HISTOGRAM_V1, Counted::Histograms),
    ],
    skim: Some(fast_path::series_v1),
};

static LABEL: Message = message(&[Unknown, Text, Text]);

static SAMPLE_V1: Message = message(&[Unknown, Fixed64, Timestamp]);

static EXEMPLAR_V1: Message = message(&[
    Unknown,
    FieldKind::Message(&LABEL, Counted::Nothing),
    Fixed64,
    Varint,
]);

static HISTOGRAM_V1: Message = message(&[
    Unknown,
    Varint,
    Fixed64,
    Fixed64,
    Varint,
    Fixed64,
    Varint,
    Fixed64,
    FieldKind::Message(&SPAN, Counted::Nothing),
    Varints,
    Fixed64s,
    FieldKind::Message(&SPAN, Counted::Nothing),
    Varints,
    Fixed64s,
    Varint,
    Timestamp,
    Fixed64s,
]);

static SPAN: Message = message(&[Unknown, Varint, Varint]);

/// `io.prometheus.write.v2.Request`
pub(super) static REQUEST_V2: Message = message(&[
    Unknown,
    Unknown,
    Unknown,
    Unknown,
    Text,
    FieldKind::Message(&SERIES_V2, Counted::Series),
]);

static SERIES_V2: Message = Message {
    fields: &[
        Unknown,
        Varints,
        FieldKind::Message(&SAMPLE_V2, Counted::Samples),
        FieldKind::Message(&HISTOGRAM_V2, Counted::Histograms),
        FieldKind::Message(&EXEMPLAR_V2, Counted::Exemplars),
        FieldKind::Message(&METADATA_V2, Counted::MetadataOnce),
        Varint,
    ],
    skim: Some(fast_path::series_v2),
};

static SAMPLE_V2: Message = message(&[Unknown, Fixed64, Timestamp, Varint]);

static EXEMPLAR_V2: Message = message(&[Unknown, Varints, Fixed64, Varint]);

static METADATA_V2: Message = message(&[Unknown, Varint, Unknown, Varint, Varint]);

static HISTOGRAM_V2: Message = message(&[
    Unknown,
    Varint,
    Fixed64,
    Fixed64,
    Varint,
    Fixed64,
    Varint,
    Fixed64,
    FieldKind::Message(&SPAN, Counted::Nothing),
    Varints,
    Fixed64s,
    FieldKind::Message(&SPAN, Counted::Nothing),
    Varints,
    Fixed64s,
    Varint,
    Timestamp,
    Fixed64s,
    Varint,
]);
