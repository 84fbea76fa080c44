//! How to let this process read the token file: remedies with its current owner, group and mode.

/// Who owns a file or folder, and with which mode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ownership {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

/// The bit of a mode that lets the group read.
const GROUP_READS: u32 = 0o040;

/// `place` (the file, or a folder above it) denies access to this process, which runs as `process`.
pub(crate) fn denied(place: &str, owner: Ownership, process: &str, own_uid: u32) -> String {
    let Ownership { uid, gid, mode } = owner;
    let remedy = if uid == own_uid {
        "its mode keeps its own owner out, which kubelet never does: change the mode".to_owned()
    } else if mode & GROUP_READS != 0 && uid == 0 {
        // Not runAsUser: nobody should run as root for this.
        format!("set securityContext.fsGroup of the pod to {gid}")
    } else if mode & GROUP_READS != 0 {
        format!("set securityContext.fsGroup of the pod to {gid}, or runAsUser to {uid}")
    } else if uid == 0 {
        "set securityContext.fsGroup of the pod to any group: kubelet then gives that group read access".to_owned()
    } else {
        format!(
            "set runAsUser to {uid}, or securityContext.fsGroup of the pod to any group: kubelet then gives that group read access"
        )
    };
    format!(
        "{place} is owned by {uid}:{gid} with mode {mode:04o}, and this process runs as {process}: {remedy}"
    )
}
