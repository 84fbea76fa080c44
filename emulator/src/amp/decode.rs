//! From a body to one [`v1::WriteRequest`], whichever schema it came in.
//!
//! The texts of refusals are those of Cortex and of the decoders that it uses.
//!
//! Version 2 is brought into version 1's shape here, so that one set of rules judges both and one shape is forwarded:
//! Prometheus 2.42 reads a version 2 body as an *empty* version 1 body and says 204 to it.

use prost::Message;
use remote_write_proto::{v1, v2};

use super::{content::Schema, go, refusal::AmpRefusal};

/// Decompresses a body. Neither packed nor unpacked may it be over `most`.
pub(super) fn unpack(body: &[u8], most: usize) -> Result<Vec<u8>, AmpRefusal> {
    let fits = |length: usize| match length > most {
        true => Err(AmpRefusal::Malformed(format!(
            "received message larger than max ({length} vs {most})"
        ))),
        false => Ok(()),
    };
    fits(body.len())?;
    let corrupt = |_| AmpRefusal::Malformed("snappy: corrupt input".to_owned());
    let declared = snap::raw::decompress_len(body).map_err(corrupt)?;
    fits(declared)?;
    let mut plain = vec![0; declared];
    let length = snap::raw::Decoder::new()
        .decompress(body, &mut plain)
        .map_err(corrupt)?;
    plain.truncate(length);
    Ok(plain)
}

/// Decodes a body.
pub(super) fn decode(schema: Schema, plain: &[u8]) -> Result<v1::WriteRequest, AmpRefusal> {
    match schema {
        Schema::V1 => v1::WriteRequest::decode(plain).map_err(|error| malformed(&error)),
        Schema::V2 => resolve(v2::Request::decode(plain).map_err(|error| malformed(&error))?),
    }
}

/// The engine's decoder words it otherwise than prost. Strings that are not UTF-8 the engine would take.
fn malformed(error: &prost::DecodeError) -> AmpRefusal {
    let text = error.to_string();
    let after = |start: &str| text.split_once(start).map(|(_, rest)| rest);
    let said = if let Some(kind) = after("invalid wire type value: ") {
        format!("proto: illegal wireType {kind}")
    } else if let Some(rest) = after("invalid wire type: ") {
        let kind = match rest.split(' ').next() {
            Some("Varint") => 0,
            Some("SixtyFourBit") => 1,
            Some("LengthDelimited") => 2,
            Some("StartGroup") => 3,
            Some("EndGroup") => 4,
            _ => 5,
        };
        let field = text
            .split(": ")
            .filter_map(|part| part.rsplit_once('.'))
            .map(|(_, field)| field)
            .last()
            .unwrap_or_default();
        let mut letters = field.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let field: String = first.into_iter().chain(letters).collect();
        format!("proto: wrong wireType = {kind} for field {field}")
    } else if [
        "buffer underflow",
        "delimited length exceeded",
        "invalid varint",
    ]
    .iter()
    .any(|cut_off| text.contains(cut_off))
    {
        "unexpected EOF".to_owned()
    } else {
        format!("proto: {text}")
    };
    AmpRefusal::Malformed(said)
}

fn resolve(request: v2::Request) -> Result<v1::WriteRequest, AmpRefusal> {
    let symbols = Symbols(&request.symbols);
    let mut out = v1::WriteRequest::default();
    for series in &request.timeseries {
        let labels = symbols.labels(&series.labels_refs)?;
        if series.samples.is_empty() && series.histograms.is_empty() {
            return Err(AmpRefusal::Malformed(format!(
                "TimeSeries must contain at least one sample or histogram for series {}",
                go::labels(&labels)
            )));
        }
        let metadata = series.metadata.unwrap_or_default();
        let unit = symbols.text("UnitRef", metadata.unit_ref)?;
        if metadata != v2::Metadata::default() {
            out.metadata.push(v1::MetricMetadata {
                r#type: metadata.r#type,
                metric_family_name: name_of(&labels)?.to_owned(),
                help: symbols.text("HelpRef", metadata.help_ref)?,
                unit,
            });
        }
        let samples = series.samples.iter();
        let samples = samples
            .map(|sample| v1::Sample {
                value: sample.value,
                timestamp: sample.timestamp,
            })
            .collect();
        let histograms = series
            .histograms
            .iter()
            .map(older)
            .collect::<Result<_, _>>()?;
        let exemplars = series.exemplars.iter().map(|exemplar| {
            let (value, timestamp) = (exemplar.value, exemplar.timestamp);
            Ok(v1::Exemplar {
                labels: symbols.labels(&exemplar.labels_refs)?,
                value,
                timestamp,
            })
        });
        let exemplars = exemplars.collect::<Result<_, AmpRefusal>>()?;
        out.timeseries.push(v1::TimeSeries {
            labels,
            samples,
            exemplars,
            histograms,
        });
    }
    Ok(out)
}

/// The two histogram messages agree in every field but `start_timestamp`, which version 1 skips as unknown.
fn older(histogram: &v2::Histogram) -> Result<v1::Histogram, AmpRefusal> {
    v1::Histogram::decode(histogram.encode_to_vec().as_slice()).map_err(|error| malformed(&error))
}

fn name_of(labels: &[v1::Label]) -> Result<&str, AmpRefusal> {
    let name = labels.iter().find(|label| label.name == "__name__");
    name.map(|label| label.value.as_str())
        .ok_or_else(|| AmpRefusal::Malformed("no metric name label".to_owned()))
}

/// The interned strings of a version 2 body.
#[derive(Clone, Copy, Debug)]
struct Symbols<'a>(&'a [String]);

impl Symbols<'_> {
    fn at(self, reference: u32) -> Option<String> {
        let index = usize::try_from(reference).ok()?;
        self.0.get(index).cloned()
    }

    fn text(self, kind: &str, reference: u32) -> Result<String, AmpRefusal> {
        self.at(reference).ok_or_else(|| {
            AmpRefusal::Malformed(format!(
                "invalid {kind} {reference}: exceeds symbols length {}",
                self.0.len()
            ))
        })
    }

    /// The labels, sorted as the engine does at once.
    fn labels(self, references: &[u32]) -> Result<Vec<v1::Label>, AmpRefusal> {
        let (pairs, rest) = references.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(AmpRefusal::Malformed(format!(
                "invalid labelRefs length {}",
                references.len()
            )));
        }
        let label = |&[name, value]: &[u32; 2]| match self.at(name).zip(self.at(value)) {
            Some((name, value)) => Ok(v1::Label { name, value }),
            None => Err(AmpRefusal::Malformed(format!(
                "labelRefs {name} (name) = {value} (value) outside of symbols table (size {})",
                self.0.len()
            ))),
        };
        let mut labels = pairs.iter().map(label).collect::<Result<Vec<_>, _>>()?;
        labels.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(labels)
    }
}
