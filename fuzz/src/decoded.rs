//! What prost finds in a batch: the judge of the sidecar's own walk.
//!
//! Strings are taken as bytes, since the wire format does not care whether they are UTF-8.

use amp_sidecar::remote_write::contents::Contents;
use amp_sidecar::remote_write::inspect::Version;
use prost::Message;
use remote_write_proto::as_bytes::{v1, v2};

/// `None` where prost refuses the message.
pub fn contents(message: &[u8], version: Version) -> Option<Contents> {
    match version {
        Version::V1 => v1::WriteRequest::decode(message).ok().map(of_v1),
        Version::V2 => v2::Request::decode(message).ok().map(of_v2),
    }
}

fn of_v1(request: v1::WriteRequest) -> Contents {
    let mut contents = Contents {
        series: request.timeseries.len() as u64,
        metadata: request.metadata.len() as u64,
        ..Contents::default()
    };
    for series in request.timeseries {
        contents.samples += series.samples.len() as u64;
        contents.histograms += series.histograms.len() as u64;
        let samples = series.samples.iter().map(|sample| sample.timestamp);
        let histograms = series.histograms.iter().map(|one| one.timestamp);
        samples
            .chain(histograms)
            .for_each(|millis| contents.timestamps.add(millis));
        contents.exemplars += series.exemplars.len() as u64;
    }
    contents
}

fn of_v2(request: v2::Request) -> Contents {
    let mut contents = Contents {
        series: request.timeseries.len() as u64,
        ..Contents::default()
    };
    for series in request.timeseries {
        contents.samples += series.samples.len() as u64;
        contents.histograms += series.histograms.len() as u64;
        let samples = series.samples.iter().map(|sample| sample.timestamp);
        let histograms = series.histograms.iter().map(|one| one.timestamp);
        samples
            .chain(histograms)
            .for_each(|millis| contents.timestamps.add(millis));
        contents.exemplars += series.exemplars.len() as u64;
        contents.metadata += u64::from(series.metadata.is_some());
    }
    contents
}
