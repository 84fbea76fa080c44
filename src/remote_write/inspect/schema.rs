//! The two remote-write schemas, as far as a walk needs them: which field holds what, and what it counts as.
//!
//! A field's number is its place in the table. What lies past a table's end, or is [`FieldKind::Unknown`], is
//! passed over, as every decoder does with the fields of a later schema. The numbers are those of `proto/`;
//! the property tests compare the two.

use crate::remote_write::inspect::fast_path;

/// One kind of message.
pub(super) struct Message {
    pub(super) fields: &'static [FieldKind],
    /// Passes over the leading fields of the shapes that make up almost every body.
    pub(super) skim: Option<fast_path::Skim>,
}

/// What a field holds.
pub(super) enum FieldKind {
    Unknown,
    Varint,
    Fixed64,
    /// A string: whether it is UTF-8 is not looked at.
    Text,
    /// Repeated: packed, or one value at a time.
    Varints,
    /// Repeated: packed, or one value at a time.
    Fixed64s,
    Message(&'static Message, Counted),
}

/// What one occurrence of a field adds to.
#[derive(Clone, Copy)]
pub(super) enum Counted {
    Nothing,
    Series,
    Samples,
    Histograms,
    Exemplars,
    Metadata,
    /// Not repeated: however often it occurs, a decoder ends up with one.
    MetadataOnce,
}

use FieldKind::{Fixed64, Fixed64s, Text, Unknown, Varint, Varints};

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

static SAMPLE_V1: Message = message(&[Unknown, Fixed64, Varint]);

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
    Varint,
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

static SAMPLE_V2: Message = message(&[Unknown, Fixed64, Varint, Varint]);

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
    Varint,
    Fixed64s,
    Varint,
]);
