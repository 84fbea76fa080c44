//! The remote-write messages as prost types.
//!
//! For the tests, which hold the sidecar's own walk over the wire format against prost, and for the
//! emulator, which stores what it decodes. The sidecar itself depends on this crate in its tests only, so
//! neither prost nor the schema compiler is part of its build.
#![allow(
    missing_docs,
    clippy::doc_markdown,
    reason = "generated from the schemas, which carry the words"
)]

/// Remote write 1.0.
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/as_written/prometheus.rs"));
}

/// Remote write 2.0.
pub mod v2 {
    include!(concat!(
        env!("OUT_DIR"),
        "/as_written/io.prometheus.write.v2.rs"
    ));
}

/// The same messages with every string as bytes: what prost accepts of the wire format alone, without its
/// check that strings are UTF-8.
pub mod as_bytes {
    /// Remote write 1.0.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/as_bytes/prometheus.rs"));
    }

    /// Remote write 2.0.
    pub mod v2 {
        include!(concat!(
            env!("OUT_DIR"),
            "/as_bytes/io.prometheus.write.v2.rs"
        ));
    }
}
