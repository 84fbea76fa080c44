//! What must hold whatever bytes come in.
//!
//! In: any bytes. Out: nothing, or a panic where a promise is broken. Each module is one promise, `holds`, about one place at
//! which the sidecar reads what others wrote; [`ALL`] names them. The fuzzers of `fuzz_targets/` call them for hours with
//! whatever reaches new code, and the ordinary tests (`tests/it/corpora.rs`) include this file and call them with all
//! that is kept in `corpus/`, so that what was found once stays fixed.
//!
//! A promise is checked against something that was not written here (prost, snap, `form_urlencoded`, the counts of a stand-in for
//! AMP), or against the contract in words of its own; that nothing panics and nothing grows goes without saying.

pub mod amp;
mod as_v1;
pub mod certificate;
pub mod config;
pub mod convert;
pub mod decoded;
pub mod entra;
pub mod paths;
pub mod reply;
pub mod rig;
pub mod sender;
pub mod snappy;
pub mod split;
pub mod sts;
pub mod token;
pub mod walk;

/// A promise about any bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// As its binary and its folder of `corpus/` are called.
    pub name: &'static str,
    /// Panics where the promise is broken.
    pub holds: fn(&[u8]),
}

/// Every one of them.
pub const ALL: [Target; 13] = [
    target("walk", walk::holds),
    target("snappy", snappy::holds),
    target("split", split::holds),
    target("convert", convert::holds),
    target("sts", sts::holds),
    target("entra", entra::holds),
    target("reply", reply::holds),
    target("amp", amp::holds),
    target("sender", sender::holds),
    target("token", token::holds),
    target("certificate", certificate::holds),
    target("config", config::holds),
    target("paths", paths::holds),
];

const fn target(name: &'static str, holds: fn(&[u8])) -> Target {
    Target { name, holds }
}

/// What a person is shown of a peer's words: one line, of bounded length.
pub fn is_fit_to_be_shown(text: &str) {
    assert!(text.len() <= 8 * 1024, "{} bytes are shown", text.len());
    assert!(
        !text.contains(|c: char| c.is_control()),
        "a control character is shown: {text:?}"
    );
}

/// No piece of a secret that is long enough to matter is shown.
pub fn withholds(text: &str, secret: &str) {
    let pieces = secret.as_bytes().windows(12);
    for piece in pieces {
        let piece = String::from_utf8_lossy(piece);
        assert!(!text.contains(&*piece), "{piece} is shown: {text}");
    }
}
