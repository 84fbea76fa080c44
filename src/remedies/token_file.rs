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
    let any_group = "securityContext.fsGroup of the pod to any group: kubelet then gives that group read access";
    let remedy = if uid == own_uid {
        "its mode keeps its own owner out, which kubelet never does: change the mode".to_owned()
    } else {
        let in_a_pod = match (mode & GROUP_READS != 0, uid) {
            // Not runAsUser: nobody should run as root for this.
            (true, 0) => format!("set securityContext.fsGroup of the pod to {gid}"),
            (true, _) => {
                format!("set securityContext.fsGroup of the pod to {gid}, or runAsUser to {uid}")
            }
            (false, 0) => format!("set {any_group}"),
            (false, _) => format!("set runAsUser to {uid}, or {any_group}"),
        };
        format!("{in_a_pod}; on a VM, let one of these groups read it")
    };
    format!(
        "{place} is owned by {uid}:{gid} with mode {mode:04o}, and this process runs as {process}: {remedy}"
    )
}
