//! The remote-write messages, generated from `proto/`.

/// Remote write 1.0.
#[allow(
    missing_docs,
    unreachable_pub,
    reason = "generated; the fields are described in proto/write_v1.proto"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/prometheus.rs"));
}

/// Remote write 2.0.
#[allow(
    missing_docs,
    unreachable_pub,
    reason = "generated; the fields are described in proto/write_v2.proto"
)]
pub mod v2 {
    include!(concat!(env!("OUT_DIR"), "/io.prometheus.write.v2.rs"));
}
