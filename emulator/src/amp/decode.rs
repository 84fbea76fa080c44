//! From a body to one [`v1::WriteRequest`], whichever schema it came in.
//!
//! Version 2 is brought into version 1's shape here, so that one set of rules judges both and one shape is forwarded:
//! Prometheus 2.42 reads a version 2 body as an *empty* version 1 body and says 204 to it.

use prost::Message;

use super::{
    content::Schema,
    proto::{v1, v2},
    refusal::Refusal,
};

/// A body may not become larger than this. Snappy cannot blow up a body of AMP's 1 MB so far.
const MAX_DECODED_BYTES: usize = 32 << 20;

/// Decompresses and decodes a body.
pub(super) fn decode(schema: Schema, body: &[u8]) -> Result<v1::WriteRequest, Refusal> {
    let plain = decompress(body).map_err(|error| Refusal::Malformed(format!("snappy: {error}")))?;
    match schema {
        Schema::V1 => v1::WriteRequest::decode(plain.as_slice()).map_err(|error| malformed(&error)),
        Schema::V2 => {
            resolve(v2::Request::decode(plain.as_slice()).map_err(|error| malformed(&error))?)
        }
    }
}

fn decompress(body: &[u8]) -> Result<Vec<u8>, snap::Error> {
    let declared = snap::raw::decompress_len(body)?;
    if declared > MAX_DECODED_BYTES {
        return Err(snap::Error::TooBig {
            given: declared as u64,
            max: MAX_DECODED_BYTES as u64,
        });
    }
    let mut plain = vec![0; declared];
    let length = snap::raw::Decoder::new().decompress(body, &mut plain)?;
    plain.truncate(length);
    Ok(plain)
}

fn malformed(error: &prost::DecodeError) -> Refusal {
    Refusal::Malformed(format!("proto: {error}"))
}

fn resolve(request: v2::Request) -> Result<v1::WriteRequest, Refusal> {
    let symbols = Symbols(&request.symbols);
    if request
        .symbols
        .first()
        .is_some_and(|first| !first.is_empty())
    {
        return Err(Refusal::Malformed(
            "symbols must start with the empty string".into(),
        ));
    }
    let mut out = v1::WriteRequest::default();
    for series in &request.timeseries {
        let labels = symbols.labels(&series.labels_refs)?;
        if let Some(metadata) = series.metadata {
            out.metadata.push(v1::MetricMetadata {
                r#type: metadata.r#type,
                metric_family_name: name_of(&labels).to_owned(),
                help: symbols.text(metadata.help_ref)?,
                unit: symbols.text(metadata.unit_ref)?,
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
        let exemplars = exemplars.collect::<Result<_, Refusal>>()?;
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
fn older(histogram: &v2::Histogram) -> Result<v1::Histogram, Refusal> {
    v1::Histogram::decode(histogram.encode_to_vec().as_slice()).map_err(|error| malformed(&error))
}

fn name_of(labels: &[v1::Label]) -> &str {
    labels
        .iter()
        .find(|label| label.name == "__name__")
        .map_or("", |label| &label.value)
}

/// The interned strings of a version 2 body.
#[derive(Clone, Copy, Debug)]
struct Symbols<'a>(&'a [String]);

impl Symbols<'_> {
    fn text(self, reference: u32) -> Result<String, Refusal> {
        let found = usize::try_from(reference)
            .ok()
            .and_then(|index| self.0.get(index));
        found.cloned().ok_or_else(|| {
            Refusal::Malformed(format!(
                "symbol reference {reference} is out of the {} symbols",
                self.0.len()
            ))
        })
    }

    fn labels(self, references: &[u32]) -> Result<Vec<v1::Label>, Refusal> {
        let (pairs, rest) = references.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Refusal::Malformed(format!(
                "invalid labelRefs length {}",
                references.len()
            )));
        }
        pairs
            .iter()
            .map(|&[name, value]| {
                Ok(v1::Label {
                    name: self.text(name)?,
                    value: self.text(value)?,
                })
            })
            .collect()
    }
}
