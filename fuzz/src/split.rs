//! The parts of a batch hold together what the batch held, in its order, and each stays below the limit.
//!
//! What a series says is compared sample by sample, each with the labels that it comes with, so that it does not matter
//! whether a series was cut. A batch that is refused has a reason: a series that is too large alone, descriptions that
//! would be repeated without end.

use amp_sidecar::remote_write::contents::Contents;
use amp_sidecar::remote_write::inspect::{self, Version};
use amp_sidecar::remote_write::split::{self, SplitError};
use prost::Message;
use remote_write_proto::as_bytes::{v1, v2};

/// What a message says.
#[derive(Debug, Default, PartialEq)]
struct Said {
    series: Vec<String>,
    samples: Vec<(String, Vec<u8>)>,
    histograms: Vec<(String, Vec<u8>)>,
    exemplars: Vec<(String, String)>,
    metadata: Vec<Vec<u8>>,
}

/// The first byte chooses the version, the next two the limit, the rest is the message.
pub fn holds(input: &[u8]) {
    let Some(([choice, low, high], message)) = input.split_first_chunk() else {
        return;
    };
    let version = if choice & 1 == 0 {
        Version::V1
    } else {
        Version::V2
    };
    let limit = 1 + usize::from(u16::from_le_bytes([*low, *high])) % 4096;
    let limits = split::PartLimits {
        packed: limit,
        unpacked: (choice & 2 != 0).then_some(4 * limit),
    };
    let sound = inspect::count(message, version);
    let parts = match split::split(message, version, limits) {
        Ok(parts) => parts,
        Err(SplitError::Malformed(why)) => return assert_eq!(Err(why), sound),
        Err(SplitError::Pack(why)) => panic!("a part could not be packed: {why}"),
        Err(_) => return assert!(sound.is_ok()),
    };
    let mut whole = sound.unwrap();
    let mut sum = Contents::default();
    let (mut said, mut meant) = (Said::default(), Said::default());
    let mut one_by_one = Vec::new();
    for part in &parts {
        let message = inspect::unpack(&part.body, 1 << 24).unwrap().unwrap();
        let is_within =
            part.body.len() <= limit && limits.unpacked.is_none_or(|most| message.len() <= most);
        assert!(is_within || part.is_indivisible);
        assert_eq!(inspect::count(&message, version), Ok(part.contents));
        sum += part.contents;
        said.add(&message, version);
        one_by_one.extend_from_slice(&message);
    }
    meant.add(message, version);
    // A series that was cut counts in each of its pieces, and so does its metadata.
    if sum.series > whole.series {
        (whole.series, whole.metadata) = (sum.series, sum.metadata);
    } else if version == Version::V1 {
        assert_eq!(one_by_one, message);
    }
    assert_eq!(sum, whole);
    said.series.dedup();
    meant.series.dedup();
    assert_eq!(said, meant);
}

// === impl Said ===

impl Said {
    fn add(&mut self, message: &[u8], version: Version) {
        match version {
            Version::V1 => self.hear_v1(v1::WriteRequest::decode(message).unwrap()),
            Version::V2 => self.hear_v2(v2::Request::decode(message).unwrap()),
        }
    }

    fn hear_v1(&mut self, request: v1::WriteRequest) {
        for series in request.timeseries {
            let name = format!("{:?}", series.labels);
            let of = |inner| (name.clone(), inner);
            self.samples
                .extend(series.samples.iter().map(|one| of(one.encode_to_vec())));
            self.histograms
                .extend(series.histograms.iter().map(|one| of(one.encode_to_vec())));
            self.exemplars
                .extend(series.exemplars.iter().map(|one| (name.clone(), bits(one))));
            self.series.push(name);
        }
        self.metadata
            .extend(request.metadata.iter().map(Message::encode_to_vec));
    }

    fn hear_v2(&mut self, request: v2::Request) {
        let symbol = |reference: &u32| request.symbols.get(*reference as usize);
        let symbols =
            |references: &[u32]| format!("{:?}", references.iter().map(symbol).collect::<Vec<_>>());
        for series in request.timeseries {
            let metadata = series.metadata.map(|one| {
                (
                    one.r#type,
                    symbol(&one.help_ref).cloned(),
                    symbol(&one.unit_ref).cloned(),
                )
            });
            let labels = symbols(&series.labels_refs);
            let name = format!("{labels} {metadata:?} {}", series.created_timestamp);
            let of = |inner| (name.clone(), inner);
            self.samples
                .extend(series.samples.iter().map(|one| of(one.encode_to_vec())));
            self.histograms
                .extend(series.histograms.iter().map(|one| of(one.encode_to_vec())));
            for mut exemplar in series.exemplars {
                let labels = symbols(&std::mem::take(&mut exemplar.labels_refs));
                self.exemplars
                    .push((name.clone(), format!("{labels} {}", bits(&exemplar))));
            }
            self.series.push(name);
        }
    }
}

/// Bytes, since numbers that are none do not equal themselves.
fn bits(message: &impl Message) -> String {
    format!("{:?}", message.encode_to_vec())
}
