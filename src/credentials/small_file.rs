//! Reads a small file that something else replaces from time to time: a token, a credentials file.
//!
//! In: a path, and the largest useful size. Out: the whole content, or why there is none. Each read opens the path, because a file that
//! was replaced by a rename lives on under an open descriptor. A file that changes while it is read is written in place: its content
//! may be half old and half new, so it is an error that the next read settles.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use zeroize::Zeroizing;

use crate::credentials::access;

/// Why a file gave no content.
#[derive(Debug)]
pub(super) enum SmallFileError {
    /// It could not be opened or read.
    Unreadable {
        source: io::Error,
        /// Who may read it and what to set, if access is denied.
        access: Option<String>,
    },
    /// It is larger than any useful one.
    TooLong,
    /// It changed while it was read.
    Changing,
}

/// The content of the file at `path`, which is at most `longest` bytes long.
pub(super) async fn read(path: &Path, longest: u64) -> Result<Zeroizing<Vec<u8>>, SmallFileError> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || at_once(&path, longest));
    reading.await.unwrap_or_else(|ended| {
        Err(SmallFileError::Unreadable {
            source: io::Error::other(ended),
            access: None,
        })
    })
}

fn at_once(path: &Path, longest: u64) -> Result<Zeroizing<Vec<u8>>, SmallFileError> {
    let unreadable = |source| SmallFileError::Unreadable {
        access: access::remedy(path, &source),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let bytes = whole(&mut file, longest).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    if whole(&mut file, longest).map_err(unreadable)? != bytes {
        return Err(SmallFileError::Changing);
    }
    if bytes.len() as u64 > longest {
        return Err(SmallFileError::TooLong);
    }
    Ok(bytes)
}

fn whole(file: &mut File, longest: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(longest + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
