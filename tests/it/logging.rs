//! The log at info: exactly these lines.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use emulator::fault::{Fault, FaultKind};
use emulator::world::{Target, WorldConfig};
use reqwest::StatusCode;
use serde_json::Value;

use crate::leak_check::{self, World};
use crate::{bodies, rig};

const OUT: &str = "<ErrorResponse><Error><Code>ServiceUnavailable</Code><Message>try later</Message></Error></ErrorResponse>";

/// The program, and its output so far.
pub struct Program {
    process: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Program {
    pub fn start(world: &World, more: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_amp-sidecar"))
            .env_clear()
            .envs(world.environment())
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--drain-idle", "200ms"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = process.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines() {
                leak_check::show(&line.unwrap());
            }
        });
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (said, into) = (process.stdout.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines() {
                let line = line.unwrap();
                leak_check::show(&line);
                let line = serde_json::from_str(&line).unwrap();
                into.lock().unwrap().push(line);
            }
        });
        Self { process, lines }
    }

    pub fn said(&self, message: &str) -> Option<Value> {
        let lines = self.lines.lock().unwrap();
        let line = lines.iter().rev().find(|line| line["message"] == message);
        line.cloned()
    }

    pub async fn until_said(&self, message: &str, fault: Option<&str>) -> Value {
        let started = Instant::now();
        loop {
            if let Some(line) = self.said(message)
                && line["incident"].as_str() == fault
            {
                return line;
            }
            let so_far = self.lines.lock().unwrap().clone();
            assert!(started.elapsed() < Duration::from_secs(30), "{so_far:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let kill = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(kill.success());
    }

    /// Sends SIGTERM and waits for the exit.
    pub fn leave(&mut self) {
        self.signal("-TERM");
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}

#[tokio::test]
async fn every_change_is_one_line_and_no_batch_is_any() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    let fault = |kind| [Fault::new(kind)];
    world
        .faults(Target::Sts)
        .set(fault(FaultKind::answer(503, OUT)));
    let mut program = Program::start(&world, &[]);
    let listening = program.until_said("listening", None).await;
    let url = format!(
        "http://{}/api/v1/write",
        listening["listen"].as_str().unwrap()
    );
    let client = rig::client();
    let written = std::sync::atomic::AtomicI64::new(0);
    let write = async || {
        let n = written.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let batch = bodies::v1(&format!("batch_{n}"), 3);
        let request = client.post(&url).body(batch.body);
        let request = request
            .header("content-encoding", "snappy")
            .header("content-type", rig::V1);
        request.send().await.unwrap().status()
    };
    let write_on_until = async |fault: &'static str| {
        while program
            .said("batches are stored again")
            .is_none_or(|line| line["incident"] != fault)
        {
            assert_eq!(write().await, StatusCode::OK);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };

    let unavailable = Some("ServiceUnavailable");
    program
        .until_said("no AWS credentials yet", unavailable)
        .await;
    for _ in 0..3 {
        assert_eq!(write().await, StatusCode::SERVICE_UNAVAILABLE);
    }
    world.faults(Target::Sts).clear();
    program
        .until_said("AWS credentials obtained", unavailable)
        .await;
    write_on_until("no_credentials").await;

    let failing = FaultKind::answer(500, "out of order");
    world.faults(Target::Amp).set(fault(failing));
    for _ in 0..10 {
        assert_eq!(write().await, StatusCode::INTERNAL_SERVER_ERROR);
    }
    world.faults(Target::Amp).clear();
    write_on_until("amp_failing").await;

    program.signal("-HUP");
    program.until_said("configuration reloaded", None).await;
    program.leave();
    program.until_said("stopped", None).await;

    let lines = program.lines.lock().unwrap();
    // The rest of the message depends on the kernel.
    let (sandboxed, lines) = lines.split_first().unwrap();
    let message = sandboxed["message"].as_str().unwrap();
    assert!(message.starts_with("sandboxed"), "{sandboxed}");
    let text: Vec<String> = lines
        .iter()
        .map(|line| {
            let word = |field: &str| line[field].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {}: {}",
                word("level"),
                word("message"),
                word("incident")
            )
        })
        .collect();
    assert_eq!(
        text,
        [
            "INFO listening: -",
            "INFO serving: -",
            "WARN no AWS credentials yet: ServiceUnavailable",
            "WARN a batch was not stored: no_credentials",
            "INFO credentials refreshed: -",
            "INFO AWS credentials obtained: ServiceUnavailable",
            "INFO batches are stored again: no_credentials",
            "WARN a batch was not stored: amp_failing",
            "INFO batches are stored again: amp_failing",
            "INFO configuration reloaded: -",
            "INFO draining: -",
            "INFO stopped: -",
        ],
        "{lines:#?}"
    );
    let of = |n: usize, field: &str| lines[n][field].to_string();
    let workspace = format!("{:?}", world.workspace_id());
    for line in &lines[1..=8] {
        assert_eq!(line["workspace"].to_string(), workspace, "{line}");
    }
    assert_eq!(lines[1]["remote_write_url"], world.amp_url());
    assert_eq!(
        lines[1]["sts_endpoint"],
        format!("{}/", world.sts_url().trim_end_matches('/'))
    );
    let reason = of(2, "reason");
    assert!(
        reason.contains("STS refused (503 Service Unavailable, ServiceUnavailable): try later")
    );
    assert!(of(2, "remedy").contains("temporary"));
    assert_eq!(of(2, "credentials_left_seconds"), "0");
    assert_eq!(lines[4]["role_arn"], world.role_arn());
    assert!(lines[4]["valid_for_seconds"].as_u64().unwrap() > 60);
    assert!(of(4, "access_key_id").starts_with("\"ASIA"));
    let failed = lines[5]["count"].as_u64().unwrap();
    let faults = world.journal(Target::Sts).counts().faults;
    assert_eq!(Some(failed), faults.values().copied().next(), "{faults:?}");
    assert_eq!(of(6, "count"), "3");
    assert_eq!(of(8, "count"), "10");
    assert_eq!(of(9, "kept"), workspace);
    assert_eq!(of(11, "because"), "\"no more requests from senders\"");
    assert_eq!(of(11, "in_flight"), "0");
}
