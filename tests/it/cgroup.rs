//! A memory cgroup for one process, if the machine allows it: as root, on cgroup v1 or v2.
//!
//! The process joins it before it executes the sidecar, and finds it where a container finds its own, since its mount namespace has the cgroup
//! mounted over the root of the hierarchy.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of one version of the interface.
struct Interface {
    root: &'static str,
    limit: &'static str,
    events: &'static str,
}

const VERSIONS: [Interface; 2] = [
    Interface {
        root: "/sys/fs/cgroup",
        limit: "memory.max",
        events: "memory.events",
    },
    Interface {
        root: "/sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        events: "memory.oom_control",
    },
];

/// A cgroup, removed with its last process.
pub struct Cgroup {
    interface: &'static Interface,
    folder: PathBuf,
}

impl Cgroup {
    /// One with a limit of `bytes`.
    pub fn of_memory(bytes: u64) -> Option<Self> {
        VERSIONS.iter().find_map(|interface| {
            let name = format!("amp-sidecar-test-{}", std::process::id());
            let folder = Path::new(interface.root).join(name);
            fs::create_dir(&folder).ok()?;
            let cgroup = Self { interface, folder };
            // A file of that name in any other folder would limit nothing.
            let limit = cgroup.folder.join(interface.limit);
            (limit.exists() && fs::write(limit, bytes.to_string()).is_ok()).then_some(cgroup)
        })
    }

    /// A shell command that runs `program` in it.
    pub fn run(&self, program: &str) -> String {
        let (folder, root) = (self.folder.display(), self.interface.root);
        format!(
            "unshare --mount sh -ec 'mount --bind {folder} {root}; echo $$ > {root}/cgroup.procs; exec {program}'"
        )
    }

    /// The number of OOM kills in it.
    pub fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join(self.interface.events)).unwrap();
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        kills.unwrap().parse().unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Only after its process has exited, which its handle ensures.
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("{} stays: {error}", self.folder.display());
        }
    }
}
