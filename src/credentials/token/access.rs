//! Who may read the token, when we may not.
//!
//! In: the path, and what the system said. Out: words that complete the error, with the setting of the pod that mends it. Kubelet
//! gives a projected token to the pod's `fsGroup` (mode 0640), else to the one `runAsUser` that all containers share (0600),
//! else to everybody (0644); so which of the two is missing can be read off owner, group and mode.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{getegid, geteuid, getgroups};

/// The bit of a mode that lets the group read.
const GROUP_READS: u32 = 0o040;

pub(super) fn remedy(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "; is the projected volume mounted in this container, and the path right?".to_owned()
        }
        io::ErrorKind::IsADirectory => "; name the file in that folder".to_owned(),
        io::ErrorKind::PermissionDenied => denied(path),
        _ => String::new(),
    }
}

fn denied(path: &Path) -> String {
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
        (None, Ok(file)) => format!("; it is {}", tell(&file)),
        (Some(folder), _) => about(folder),
        // Everything above could be looked at but the file itself: its own folder may not be entered.
        (None, Err(_)) => path.parent().map(about).unwrap_or_default(),
    }
}

fn about(folder: &Path) -> String {
    match fs::metadata(folder) {
        Ok(metadata) => format!("; the folder {} is {}", folder.display(), tell(&metadata)),
        Err(_) => String::new(),
    }
}

fn tell(what: &Metadata) -> String {
    let (uid, gid, mode) = (what.uid(), what.gid(), what.mode() & 0o7777);
    let described = format!(
        "owned by {uid}:{gid} with mode {mode:04o}, and this process runs as {}",
        ourselves()
    );
    let remedy = if uid == geteuid().as_raw() {
        "its mode keeps its own owner out, which kubelet never does: change the mode".to_owned()
    } else if mode & GROUP_READS != 0 && uid == 0 {
        // To run as root is no advice to give.
        format!("set the pod's securityContext.fsGroup to {gid}")
    } else if mode & GROUP_READS != 0 {
        format!("set the pod's securityContext.fsGroup to {gid}, or runAsUser to {uid}")
    } else if uid == 0 {
        "set the pod's securityContext.fsGroup, to any group: kubelet then lets that group read it"
            .to_owned()
    } else {
        format!(
            "set runAsUser to {uid}, or the pod's securityContext.fsGroup to any group: kubelet then lets that group read it"
        )
    };
    format!("{described}: {remedy}")
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
