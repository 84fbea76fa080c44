//! Third-party senders: libraries from npm and PyPI, which scripts/peers installs, write through the sidecar.
//!
//! Each runs in its own process, behind a small script that makes one batch per line and prints what it sent and the response. So AMP's store is
//! compared with the library's own values: label set, millisecond and value of each sample. The libraries differ where it matters: the
//! encodings that they name, the order of labels, and whether they retry at all. A library that does not retry leaves that to its caller, so here
//! the test retries: docs/senders.md recommends the same.

use std::process::Stdio;
use std::time::Duration;

use emulator::amp::Labels;
use emulator::fault::{Fault, FaultKind};
use emulator::world::Target;
use serde::Deserialize;
use testbench::peers::compare::compare;
use testbench::peers::samples::Samples;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::leak_check;
use crate::rig::Rig;

const NPM: &str = include_str!("foreign_senders/npm.js");
const REMOTE_WRITER: &str = include_str!("foreign_senders/remote_writer.py");
const OPENTELEMETRY: &str = include_str!("foreign_senders/opentelemetry_exporter.py");
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// A library in its own process; dropping it kills the process.
struct Sender {
    _process: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// Its report on a batch.
#[derive(Debug, Deserialize)]
struct Answer {
    accepted: bool,
    said: String,
    /// Labels, milliseconds and value; as text, since JSON cannot represent every number.
    samples: Vec<(std::collections::BTreeMap<String, String>, i64, String)>,
}

impl Sender {
    /// npm's prometheus-remote-write of this version.
    fn npm(rig: &Rig, version: &str) -> Self {
        Self::start("senders-node", "-e", NPM, &[version, &write_url(rig)])
    }

    fn python(rig: &Rig, script: &str) -> Self {
        Self::start("senders-python", "-c", script, &[&write_url(rig)])
    }

    fn start(interpreter: &str, flag: &str, script: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(interpreter)
            .arg(flag)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{interpreter}: {error}: scripts/test, or PATH=\"$(scripts/peers):$PATH\", puts it there"));
        Self {
            commands: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
        }
    }

    /// Makes a batch and writes it, with the library's own retries.
    async fn send(&mut self) -> Answer {
        self.ask("send\n").await
    }

    /// Writes the last batch once more.
    async fn send_again(&mut self) -> Answer {
        self.ask("again\n").await
    }

    async fn ask(&mut self, command: &str) -> Answer {
        self.commands.write_all(command.as_bytes()).await.unwrap();
        let line = tokio::time::timeout(ANSWERS_WITHIN, self.answers.next_line()).await;
        let line = line.expect("no answer of the sender within a minute");
        let line = line.unwrap().expect("the sender ended: see its stderr");
        let answer: Answer = serde_json::from_str(&line).unwrap();
        leak_check::show(&answer.said);
        answer
    }
}

impl Answer {
    fn samples(&self) -> Samples {
        let mut samples = Samples::new();
        for (labels, timestamp, value) in &self.samples {
            let labels = Labels::new(labels.clone());
            samples.insert(labels, *timestamp, value.parse().unwrap());
        }
        samples
    }

    /// The library counts it as written, and AMP has every sample.
    fn assert_stored(&self, rig: &Rig) {
        assert!(self.accepted, "{}", self.said);
        let found = compare(&self.samples(), rig.world.store());
        assert_eq!(found.missing, 0, "{found:?}");
        assert!(found.total >= 20, "only {} samples", found.total);
    }
}

fn write_url(rig: &Rig) -> String {
    format!("http://{}/api/v1/write", rig.host)
}

/// AMP fails every write until this is removed: a sender that retries gets 503.
fn outages() -> [(FaultKind, &'static str); 2] {
    let expired = r#"{"message":"The security token included in the request is expired"}"#;
    [
        (FaultKind::answer(403, expired), "unauthenticated"),
        (FaultKind::answer(503, ""), "amp_failing"),
    ]
}

/// It does not retry, and reports the failure: sent again after the outage, the batch arrives.
async fn is_told_and_arrives_when_sent_again(rig: &Rig, sender: &mut Sender) {
    sender.send().await.assert_stored(rig);
    for (fault, outcome) in outages() {
        rig.world.faults(Target::Amp).set([Fault::new(fault)]);
        let line = sender.send().await;
        assert!(!line.accepted && line.said.contains("503"), "{line:?}");
        let selector = format!("amp_sidecar_batches_total{{outcome=\"{outcome}\"}}");
        assert!(rig.count(&selector).await > 0, "{outcome}");
        rig.world.faults(Target::Amp).set([]);
        let again = sender.send_again().await;
        assert_eq!(again.samples(), line.samples());
        again.assert_stored(rig);
    }
    sender.send().await.assert_stored(rig);
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_prometheus_remote_write_arrives() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let mut sender = Sender::npm(&rig, "0.5.1");
    is_told_and_arrives_when_sent_again(&rig, &mut sender).await;
}

/// It sends an unusual content type.
#[tokio::test(flavor = "multi_thread")]
async fn npm_prometheus_remote_write_before_0_5_arrives() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let mut sender = Sender::npm(&rig, "0.4.1");
    is_told_and_arrives_when_sent_again(&rig, &mut sender).await;
}

/// A failed export is lost unless the caller repeats it; counters are cumulative, so the next one has the sum.
#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_of_opentelemetry_for_python_arrives() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let mut sender = Sender::python(&rig, OPENTELEMETRY);
    is_told_and_arrives_when_sent_again(&rig, &mut sender).await;
}

/// It retries three times within three seconds, so an outage that ends by then costs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn pypi_prometheus_remote_writer_loses_nothing_in_an_outage() {
    let rig = Rig::start().await;
    rig.until_ready().await;
    let mut sender = Sender::python(&rig, REMOTE_WRITER);
    sender.send().await.assert_stored(&rig);
    for (fault, outcome) in outages() {
        rig.world.faults(Target::Amp).set([Fault::new(fault)]);
        let end = async {
            let selector = format!("amp_sidecar_batches_total{{outcome=\"{outcome}\"}}");
            while rig.count(&selector).await == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            rig.world.faults(Target::Amp).set([]);
        };
        let (answer, ()) = tokio::join!(sender.send(), end);
        answer.assert_stored(&rig);
    }
}
