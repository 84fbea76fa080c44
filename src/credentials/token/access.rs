//! Who may read the token, when we may not.
//!
//! In: the path, and what the system said. Out: the remedy, with the setting of the pod that helps. Kubelet
//! gives a projected token to the pod's `fsGroup` (mode 0640), else to the one `runAsUser` that all containers share (0600),
//! else to everybody (0644); so which of the two is missing can be read off owner, group and mode.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{getegid, geteuid, getgroups};

use crate::remedies::token_file::{self, Ownership};

/// What to do where the file at `path` cannot be read, where that is known.
pub(super) fn remedy(path: &Path, error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::NotFound => Some(token_file::MISSING.to_owned()),
        io::ErrorKind::IsADirectory => Some(token_file::FOLDER.to_owned()),
        io::ErrorKind::PermissionDenied => denied(path),
        _ => None,
    }
}

fn denied(path: &Path) -> Option<String> {
    // The first that cannot be looked at lies in a folder that may not be entered.
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
        // Everything above could be looked at but the file itself: its own folder may not be entered.
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
