//! A thousand senders at once, in the memory of a small container.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use emulator::world::WorldConfig;
use testbench::peers::sidecar::{Program, Sidecar};
use tokio::sync::Barrier;

use crate::bodies;
use crate::cgroup::Cgroup;
use crate::leak_check::World;
use crate::rig::{V1, client};

const SENDERS: usize = 1000;
const LIMIT: u64 = 64 << 20;
const BINARY: &str = env!("CARGO_BIN_EXE_amp-sidecar");

/// In a cgroup of 64 MiB, which determines the sidecar's budget. Without permission for a cgroup, with the same budget as a setting; then the peak of
/// resident memory must fit into it.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_senders_at_once_fit_into_64_mib_and_lose_nothing() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    let cgroup = Cgroup::of_memory(LIMIT);
    let program = match &cgroup {
        Some(cgroup) => Program::Command(cgroup.run(&format!(
            "{BINARY} --listen={{listen}} --admin-listen={{admin}}"
        ))),
        None => Program::Sidecar(Path::new(BINARY).to_owned()),
    };
    println!("in a cgroup: {}", cgroup.is_some());
    let budget = (LIMIT / 4).to_string();
    let mut sidecar = Sidecar::start(&program, &world, &["--max-inflight-bytes", &budget])
        .await
        .unwrap();
    let pid = sidecar.process().pid().unwrap();

    let start = Arc::new(Barrier::new(SENDERS));
    let senders: Vec<_> = (0..SENDERS)
        .map(|n| {
            let (start, url, client) = (Arc::clone(&start), sidecar.write_url(), client());
            tokio::spawn(async move {
                let batch = bodies::incompressible(&format!("crowd_{n}"), 20, 6_000);
                start.wait().await;
                let began = Instant::now();
                loop {
                    let request = client
                        .post(&url)
                        .body(batch.body.clone())
                        .header("content-encoding", "snappy");
                    let status = request
                        .header("content-type", V1)
                        .send()
                        .await
                        .map(|response| response.status().as_u16());
                    match status {
                        Ok(200) => return batch,
                        Ok(lost @ (0..500)) => {
                            panic!("a sender would have dropped the batch on {lost}")
                        }
                        // Like Prometheus: retries after a pause, on a 5xx and on a broken connection.
                        Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
                    }
                    assert!(began.elapsed() < Duration::from_secs(120), "never stored");
                }
            })
        })
        .collect();
    let mut batches = Vec::new();
    for sender in senders {
        batches.push(sender.await.unwrap());
    }
    let missing = batches
        .iter()
        .flat_map(|batch| &batch.samples)
        .filter(|(labels, at)| !world.store().contains(labels, *at));
    assert_eq!(missing.count(), 0);

    sidecar.process_mut().check().await.unwrap();
    let budget = format!("\"max_inflight_bytes\":{budget},");
    assert!(
        sidecar.log().contains(&budget),
        "{}",
        sidecar.log().last_words()
    );
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak of resident memory: {peak} KiB");
    assert!(peak * 1024 < LIMIT, "{peak} KiB");
    drop(sidecar);
    if let Some(cgroup) = cgroup {
        assert_eq!(cgroup.kills(), 0);
    }
}
