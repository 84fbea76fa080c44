//! A projected volume, or that of a Secret, laid out and swapped exactly as kubelet does it.
//!
//! ```text
//! token   -> ..data/token             made once
//! ..data  -> ..2025_06_01_12_00_00.42 swapped by an atomic rename
//! ..2025_06_01_12_00_00.42/token      the contents
//! ```
//!
//! In: the contents to publish, or none. Out: the path `token`, which always
//! leads to the old or the new contents and never to half of one. A client that
//! keeps the file open, or watches the file and not the path, reads stale
//! tokens here as in a pod.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use time::OffsetDateTime;
use time::macros::format_description;

/// The name that the volume shows the token under.
const SHOWN_AS: &str = "token";

/// A folder with one projected token, or with the files of a Secret.
#[derive(Debug)]
pub struct TokenFolder {
    folder: PathBuf,
    /// The dated folder in use; the lock also keeps writers one at a time.
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    dated: Option<PathBuf>,
    swaps: u64,
}

impl TokenFolder {
    /// Makes the folder; there is nothing in it yet.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            current: Mutex::default(),
        })
    }

    /// The path to open, afresh each time.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.folder.join(SHOWN_AS)
    }

    /// How often the contents were published.
    #[must_use]
    pub fn swaps(&self) -> u64 {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .swaps
    }

    /// Publishes `contents`, or the absence of a token, at once and as a whole.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn publish(&self, contents: Option<&[u8]>, now: SystemTime) -> io::Result<()> {
        let token = contents.map(|contents| (SHOWN_AS, contents));
        self.publish_files(token.as_slice(), &[SHOWN_AS], now)
    }

    /// Publishes files of the volume, at once and as a whole; whichever of `names` is not among them is absent.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn publish_files(
        &self,
        files: &[(&str, &[u8])],
        names: &[&str],
        now: SystemTime,
    ) -> io::Result<()> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let dated_name = dated_name(now, current.swaps)?;
        let dated = self.folder.join(&dated_name);
        fs::create_dir(&dated)?;
        for (name, contents) in files {
            let file = dated.join(name);
            fs::write(&file, contents)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
        }
        let (data, data_tmp) = (self.folder.join("..data"), self.folder.join("..data_tmp"));
        symlink(&dated_name, &data_tmp)?;
        fs::rename(&data_tmp, &data)?;
        if current.swaps == 0 {
            for name in names {
                symlink(Path::new("..data").join(name), self.folder.join(name))?;
            }
        }
        current.swaps += 1;
        match current.dated.replace(dated) {
            Some(old) => fs::remove_dir_all(old),
            None => Ok(()),
        }
    }
}

/// As kubelet names it: the date, and a number that makes it unique.
fn dated_name(now: SystemTime, number: u64) -> io::Result<String> {
    let date = OffsetDateTime::from(now)
        .format(format_description!(
            "[year]_[month]_[day]_[hour]_[minute]_[second]"
        ))
        .map_err(io::Error::other)?;
    Ok(format!("..{date}.{number:010}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_layout_is_kubelets() {
        let temp = tempfile::tempdir().expect("folder");
        let folder = TokenFolder::new(temp.path()).expect("folder");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_748_779_200);
        folder.publish(Some(b"one"), now).expect("published");
        folder.publish(Some(b"two"), now).expect("published");
        let link = |name: &str| fs::read_link(temp.path().join(name)).expect("a symlink");
        assert_eq!(link("token"), Path::new("..data/token"));
        assert_eq!(
            link("..data"),
            Path::new("..2025_06_01_12_00_00.0000000001")
        );
        assert_eq!(fs::read(folder.token_file()).expect("readable"), b"two");
        let mode = fs::metadata(folder.token_file())
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(
            fs::read_dir(temp.path()).expect("listed").count(),
            3,
            "the old folder is gone"
        );
        folder.publish(None, now).expect("published");
        let error = fs::read(folder.token_file()).expect_err("gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_reader_always_sees_a_whole_token() {
        let temp = tempfile::tempdir().expect("folder");
        let folder = TokenFolder::new(temp.path()).expect("folder");
        let contents = |letter: char| String::from(letter).repeat(64 * 1024);
        let now = SystemTime::UNIX_EPOCH;
        folder
            .publish(Some(contents('a').as_bytes()), now)
            .expect("published");
        let done = AtomicBool::new(false);
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut whole = 0;
                while !done.load(Ordering::Relaxed) {
                    // Between following the link and opening, the old folder may go: kubelet's
                    // readers live with that too, and open again.
                    let Ok(text) = fs::read_to_string(folder.token_file()) else {
                        continue;
                    };
                    let letter = text.chars().next().expect("not empty");
                    assert_eq!(text, contents(letter));
                    whole += 1;
                }
                whole
            });
            for round in 0..300 {
                let letter = if round % 2 == 0 { 'b' } else { 'c' };
                folder
                    .publish(Some(contents(letter).as_bytes()), now)
                    .expect("published");
            }
            done.store(true, Ordering::Relaxed);
            reader.join().expect("no torn read")
        });
        assert!(read > 0, "the reader never came to read");
    }
}
