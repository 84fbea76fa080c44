//! Drops privileges before the first connection.
//!
//! In: a [`Config`], in the process' only thread so far. Out: a [`SandboxStatus`] for the log. From then on the process writes no file and
//! starts no program, can neither trace other processes nor be read by them, and, if its settings cannot change, reads only the files
//! that it needs. It needs none of that, so an intruder shall not have it either.
//!
//! | layer | effect |
//! |---|---|
//! | Landlock | no file is written, made, removed or executed; with `--config` any may be read, since a new configuration may name any; else those in [`NEEDED`] and in the folders of the configured files |
//! | seccomp | no system call of [`REFUSED`] |
//! | seccomp, by [`keep_out_libraries`] | in a static program no library is loaded: `mmap` and `mprotect` make no memory executable; with `--sandbox off` too |
//! | `PR_SET_DUMPABLE` | no core dump, and no other process of the same user reads the memory |
//!
//! Landlock rules name folders and not files, because Kubernetes rotates a mounted file by swapping a link beside it. If the kernel or the
//! container's own profile lacks a layer the program runs without it and logs that: a sandbox that stops samples would be worse than
//! none. For the same reason the filter denies a list of calls instead of allowing one: the libraries' calls change with their versions,
//! and the container's profile (`RuntimeDefault`) is an allow list already.

use std::fmt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, path_beneath_rules,
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::config::{Config, WorkspacesByPath};

/// Files that libc, the resolver and `process_*` read: names and addresses, limits, the absent time zone.
const NEEDED: [&str; 9] = [
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/sys",
    "/usr",
];

/// System calls that the program never makes and an intruder would: other programs and processes, the kernel, mounts and namespaces,
/// and `io_uring`, whose operations no filter covers.
const REFUSED: [i64; 29] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// System calls whose third argument is the protection of memory.
const PROTECTING: [i64; 3] = [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect];

/// The layers in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxStatus {
    /// Landlock.
    pub landlock: Fence,
    /// seccomp.
    pub seccomp: Fence,
    /// `PR_SET_DUMPABLE`.
    pub memory: Fence,
    /// Whether reading is restricted too.
    pub reads: bool,
}

/// How far a layer is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// Completely.
    Whole,
    /// As far as this kernel supports it.
    Partly,
    /// Not at all, and why.
    Lacking(String),
}

// === impl SandboxStatus ===

impl SandboxStatus {
    /// Whether every layer is in effect completely.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        [&self.landlock, &self.seccomp, &self.memory]
            .iter()
            .all(|fence| **fence == Fence::Whole)
    }

    /// Logs the result once.
    pub fn log(&self) {
        let Self {
            landlock,
            seccomp,
            memory,
            reads,
        } = self;
        if self.is_whole() {
            tracing::info!(%landlock, %seccomp, %memory, reads_fenced = reads, "sandboxed");
        } else {
            tracing::info!(
                %landlock, %seccomp, %memory, reads_fenced = reads,
                "sandboxed as far as this kernel supports it; nothing else depends on it"
            );
        }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("holds"),
            Self::Partly => f.write_str("holds as far as this kernel supports it"),
            Self::Lacking(why) => write!(f, "does not hold: {why}"),
        }
    }
}

/// Keeps a static program from loading libraries, whatever its settings are; for this thread and all that it starts later.
///
/// glibc loads the modules that `/etc/nsswitch.conf` names into a static program too, and one that was built for another glibc crashes
/// it. Refused, glibc goes on with `files` and `dns`, which it has built in. A dynamic program may need `libnss_dns.so` for that.
pub fn keep_out_libraries() {
    if cfg!(target_feature = "crt-static") {
        // Without seccomp it runs as it would without this.
        let _unavailable = no_more_code();
    }
}

/// Drops the privileges, for this thread and all that it starts later.
#[must_use]
pub fn enter(config: &Config) -> SandboxStatus {
    let reads = readable(config);
    let lacking = |why: &dyn fmt::Display| Fence::Lacking(why.to_string());
    SandboxStatus {
        reads: reads.is_some(),
        memory: set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_or_else(|why| lacking(&why), |()| Fence::Whole),
        landlock: files(reads).unwrap_or_else(|why| lacking(&why)),
        seccomp: calls().map_or_else(|why| lacking(&why), |()| Fence::Whole),
    }
}

/// The folders that may be read; `None` if a new configuration may name others.
fn readable(config: &Config) -> Option<Vec<PathBuf>> {
    if config.file.is_some() {
        return None;
    }
    let files = config.server_auth.all().map(|file| &file.path);
    let configured = config.workspaces.iter().map(|one| &one.identity);
    let by_path = config.by_path.iter().map(WorkspacesByPath::identity);
    let sources = configured.chain(by_path);
    let of_sources = sources.flat_map(|identity| identity.source.files());
    let collector = config.tracing.as_ref();
    let collector = collector.and_then(|tracing| tracing.certificate.as_ref());
    let files = files.chain(&config.ca_bundle).chain(collector);
    let files = files.map(PathBuf::as_path).chain(of_sources);
    let folders = files.flat_map(folders_of);
    Some(NEEDED.iter().map(PathBuf::from).chain(folders).collect())
}

/// The folder of a file, by its path and by the current target of its links; the nearest existing folder if it does not exist yet.
fn folders_of(file: &Path) -> Vec<PathBuf> {
    let resolved = file.canonicalize().ok();
    let folder = |path: &Path| {
        let mut above = path.ancestors().skip(1);
        above.find(|folder| folder.exists()).map(Path::to_owned)
    };
    let named = std::path::absolute(file).ok();
    [named, resolved]
        .into_iter()
        .flatten()
        .filter_map(|path| folder(&path))
        .collect()
}

fn files(reads: Option<Vec<PathBuf>>) -> Result<Fence, RulesetError> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let reads = reads.unwrap_or_else(|| vec![PathBuf::from("/")]);
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(reads, reading))?
        .restrict_self()?;
    Ok(match restricted.ruleset {
        RulesetStatus::FullyEnforced => Fence::Whole,
        RulesetStatus::PartiallyEnforced => Fence::Partly,
        RulesetStatus::NotEnforced => Fence::Lacking("this kernel has no Landlock".to_owned()),
    })
}

fn calls() -> Result<(), Box<dyn std::error::Error>> {
    refuse(REFUSED.map(|call| (call, Vec::new())))
}

fn no_more_code() -> Result<(), Box<dyn std::error::Error>> {
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    let masked = SeccompCmpOp::MaskedEq(executable);
    let condition = SeccompCondition::new(2, SeccompCmpArgLen::Dword, masked, executable)?;
    let rule = SeccompRule::new(vec![condition])?;
    refuse(PROTECTING.map(|call| (call, vec![rule.clone()])))
}

/// Answers EPERM to each of the calls that one of its rules matches; without rules, to all.
fn refuse<const N: usize>(
    calls: [(i64, Vec<SeccompRule>); N],
) -> Result<(), Box<dyn std::error::Error>> {
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(calls.into(), SeccompAction::Allow, refuse, arch)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)?;
    Ok(())
}
