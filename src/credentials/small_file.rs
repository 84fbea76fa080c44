//! Reads a small file that something else replaces from time to time: a token, a credentials file.
//!
//! In: a path, and the largest useful size. Out: the whole content, or why there is none. Each read opens the path, because a file that
//! was replaced by a rename lives on under an open descriptor. A file that changes while it is read is written in place: its content
//! may be half old and half new, so it is an error that the next read settles.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
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
    let mut file = open(path).map_err(unreadable)?;
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

/// Does not wait: without a writer, opening a FIFO would never end.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    // Reading a folder fails with an error that names it.
    if kind.is_file() || kind.is_dir() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {}, not a regular file", name_of(kind)),
    ))
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a FIFO (named pipe)"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "something else"
    }
}

fn whole(file: &mut File, longest: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(longest + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_a_regular_file_is_named_at_once() {
        let fifo = std::env::temp_dir().join(format!("amp-sidecar-fifo-{}", fastrand::u64(..)));
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let link = fifo.with_extension("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for (path, words) in [
            (
                fifo.as_path(),
                "it is a FIFO (named pipe), not a regular file",
            ),
            (&link, "it is a FIFO (named pipe), not a regular file"),
            (Path::new("/dev/zero"), "it is a device, not a regular file"),
        ] {
            let Err(SmallFileError::Unreadable { source, .. }) = read(path, 10).await else {
                panic!("{} was read", path.display());
            };
            assert_eq!(source.to_string(), words);
        }
        std::fs::remove_file(&link).unwrap();
        std::fs::write(fifo.with_extension("file"), "text").unwrap();
        std::os::unix::fs::symlink(fifo.with_extension("file"), &link).unwrap();
        assert_eq!(*read(&link, 10).await.unwrap(), *b"text");
        for path in [&fifo, &link, &fifo.with_extension("file")] {
            std::fs::remove_file(path).unwrap();
        }
    }
}
