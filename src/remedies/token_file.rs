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
const OWNER_READS: u32 = 0o400;
const OTHERS_READ: u32 = 0o004;

/// `place` (the file, or a folder above it) denies access to this process, which runs as `process`.
pub(crate) fn denied(place: &str, owner: Ownership, process: &str, own_uid: u32) -> String {
    let Ownership { uid, gid, mode } = owner;
    let any_group = "securityContext.fsGroup of the pod to any group: kubelet then gives that group read access";
    let may_read = uid == own_uid && mode & OWNER_READS != 0 || mode & OTHERS_READ != 0;
    let remedy = if may_read {
        "its mode lets this process read it, so the sandbox keeps it out: the folder was made anew since the start; restart the sidecar, and let the file be replaced within its folder".to_owned()
    } else if uid == own_uid {
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

#[cfg(test)]
mod tests {
    use super::{Ownership, denied};

    #[test]
    fn what_the_mode_does_not_forbid_the_sandbox_does() {
        let says = |uid, mode| denied("it", Ownership { uid, gid: 7, mode }, "1000", 1000);
        for (uid, mode) in [(1000, 0o600), (0, 0o644), (1000, 0o444)] {
            let said = says(uid, mode);
            assert!(said.contains("restart the sidecar"), "{said}");
        }
        for (uid, mode) in [(1000, 0o040), (0, 0o640), (5, 0o600)] {
            let said = says(uid, mode);
            assert!(!said.contains("restart the sidecar"), "{said}");
        }
    }
}
