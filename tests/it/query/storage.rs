//! A Prometheus that stores what AMP accepts.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use testbench::peers::free_ports;
use testbench::peers::process::Process;
use tokio::process::Command;

use crate::rig::client;

/// Dropping it stops it and removes its folder.
pub struct Storage {
    address: SocketAddr,
    folder: PathBuf,
    process: Process,
}

impl Storage {
    /// Starts one with an empty database and waits until it is ready.
    pub async fn start() -> Self {
        Self::start_with_rules("groups: []\n").await
    }

    /// The same with a file of rules, evaluated every second.
    pub async fn start_with_rules(rules: &str) -> Self {
        let [address] = free_ports().unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("storage-{address}"));
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("prometheus.yml");
        fs::write(folder.join("rules.yml"), rules).unwrap();
        fs::write(
            &config,
            "global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\nstorage: {tsdb: {out_of_order_time_window: 60s}}\n",
        )
        .unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver");
        let process = Process::start("storage", command, &[]);
        let process = process.expect("prometheus is not on the PATH: scripts/test brings it");
        let storage = Self {
            address,
            folder,
            process,
        };
        for _ in 0..600 {
            let asked = client().get(storage.url("/-/ready")).send().await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return storage;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not ready: {}", storage.process.log().last_words());
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn write_url(&self) -> String {
        self.url("/api/v1/write")
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // Its files may change until the process has exited.
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            println!("{}: {error}", self.folder.display());
        }
    }
}
