//! Who may read a token or credentials file, when this process may not.
//!
//! In: the path, and the system's error. Out: the remedy, with the pod setting that helps. Kubelet gives a projected token to the
//! pod's `fsGroup` (mode 0640), else to the `runAsUser` that all containers share (0600), else to everybody (0644); so owner, group and
//! mode show which of the two settings is missing.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{getegid, geteuid, getgroups};

use crate::remedies::token_file::{self, Ownership};

/// What to do if the file at `path` may not be read.
pub(super) fn remedy(path: &Path, error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => denied(path),
        _ => None,
    }
}

fn denied(path: &Path) -> Option<String> {
    // The first path that cannot be examined lies in a folder that denies access.
    let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
    folders.reverse();
    let closed = folders
        .windows(2)
        .find_map(|pair| match pair {
            [folder, inner] => fs::metadata(inner).is_err().then_some(*folder),
            _ => None,
        })
        .filter(|folder| !folder.as_os_str().is_empty());
    match (closed, fs::metadata(path)) {
        (None, Ok(file)) => Some(keeps_out("it", &file)),
        (Some(folder), _) => about(folder),
        // Only the file itself could not be examined: its own folder denies access.
        (None, Err(_)) => path.parent().and_then(about),
    }
}

fn about(folder: &Path) -> Option<String> {
    let metadata = fs::metadata(folder).ok()?;
    let place = format!("the folder {}", folder.display());
    Some(keeps_out(&place, &metadata))
}

fn keeps_out(place: &str, what: &Metadata) -> String {
    let owner = Ownership {
        uid: what.uid(),
        gid: what.gid(),
        mode: what.mode() & 0o7777,
    };
    token_file::denied(place, owner, &ourselves(), geteuid().as_raw())
}

fn ourselves() -> String {
    let mut groups = vec![getegid().as_raw()];
    groups.extend(
        getgroups()
            .unwrap_or_default()
            .iter()
            .map(|gid| gid.as_raw()),
    );
    groups.dedup();
    let groups: Vec<String> = groups.iter().take(32).map(u32::to_string).collect();
    format!(
        "{} with the groups {}",
        geteuid().as_raw(),
        groups.join(", ")
    )
}
