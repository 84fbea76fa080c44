//! A child process that never outlives its handle.
//!
//! In: a command. Out: a [`Process`] with its pid, the end of what it wrote, and ways to end it. It gets nothing of our
//! environment but the `PATH`: neither the user's AWS profile nor a proxy setting may lead a peer off the loopback. It
//! leads a process group of its own, so that Ctrl-C in a terminal reaches us alone and we decide who ends when.
//!
//! Invariant: dropping the handle kills the child by its pid, and it is gone when that returns, so that its folder can be
//! removed next. Only our own death by SIGKILL can keep us from that.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::{PeerError, environment};

const LINES_AT_MOST: usize = 2000;
const LINE_AT_MOST: u64 = 16 * 1024;
const LAST_WORDS: usize = 20;
/// A killed process is gone within milliseconds, unless the disk holds it.
const LOOKS_FOR_DEATH: usize = 200;
const LOOK_EVERY: Duration = Duration::from_millis(5);

const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Log,
    readers: Vec<JoinHandle<()>>,
}

/// The last lines that a child wrote, of either stream. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<VecDeque<String>>>);

// === impl Process ===

impl Process {
    /// Starts `command`, shown as `name` where it fails, with `variables` and the `PATH` for its environment.
    ///
    /// # Errors
    /// [`PeerError::Spawn`].
    pub fn start(
        name: &str,
        mut command: Command,
        variables: &[(String, String)],
    ) -> Result<Self, PeerError> {
        command
            .env_clear()
            .envs(environment("PATH").map(|path| ("PATH", path)))
            .envs(
                variables
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| PeerError::Spawn {
            program: name.to_owned(),
            source,
        })?;
        let log = Log::default();
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(log.clone().follow(stdout)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(log.clone().follow(stderr)));
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
            readers,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id, while it has not been seen to end.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// [`PeerError::Control`].
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, PeerError> {
        let ended = self.child.try_wait();
        ended.map_err(|source| self.uncontrolled(source))
    }

    /// [`PeerError::Ended`] if it has ended.
    ///
    /// # Errors
    /// That, or [`PeerError::Control`].
    pub async fn check(&mut self) -> Result<(), PeerError> {
        let Some(status) = self.ended()? else {
            return Ok(());
        };
        // Its last words may still be on their way; a grandchild may hold the pipe open for ever.
        let reading = async {
            for reader in self.readers.drain(..) {
                drop(reader.await);
            }
        };
        drop(tokio::time::timeout(LAST_WORDS_WITHIN, reading).await);
        Err(PeerError::Ended {
            program: self.name.clone(),
            status,
            log: self.log.last_words(),
        })
    }

    /// Asks it to end, SIGTERM, and does not wait.
    ///
    /// # Errors
    /// [`PeerError::Control`].
    pub fn terminate(&self) -> Result<(), PeerError> {
        let pid = self
            .pid()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        match pid.map(|pid| kill_process(pid, Signal::TERM)) {
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(Err(errno)) => Err(self.uncontrolled(errno.into())),
        }
    }

    /// Waits for its end; `None` where it does not come in time.
    ///
    /// # Errors
    /// [`PeerError::Control`].
    pub async fn wait(&mut self, within: Duration) -> Result<Option<ExitStatus>, PeerError> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(Ok(status)) => Ok(Some(status)),
            Ok(Err(source)) => Err(self.uncontrolled(source)),
            Err(_elapsed) => Ok(None),
        }
    }

    /// SIGTERM, and SIGKILL where that is not enough in time; `None` where it came to that.
    ///
    /// # Errors
    /// [`PeerError::Control`].
    pub async fn stop(&mut self, within: Duration) -> Result<Option<ExitStatus>, PeerError> {
        self.terminate()?;
        let ended = self.wait(within).await?;
        if ended.is_none() {
            self.kill().await?;
        }
        Ok(ended)
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// [`PeerError::Control`].
    pub async fn kill(&mut self) -> Result<(), PeerError> {
        let killed = self.child.kill().await;
        killed.map_err(|source| self.uncontrolled(source))
    }

    pub(super) fn not_ready(&self, within: Duration) -> PeerError {
        PeerError::NotReady {
            program: self.name.clone(),
            within,
            log: self.log.last_words(),
        }
    }

    fn uncontrolled(&self, source: io::Error) -> PeerError {
        PeerError::Control {
            program: self.name.clone(),
            source,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.start_kill().is_err() {
            return;
        }
        for _ in 0..LOOKS_FOR_DEATH {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

// === impl Log ===

impl Log {
    /// The last lines, oldest first, at most 2,000.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    /// Whether any of the last lines contains `text`.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        self.lock().iter().any(|line| line.contains(text))
    }

    /// The last 20 lines as one text.
    #[must_use]
    pub fn last_words(&self) -> String {
        let lines = self.lock();
        let skipped = lines.len().saturating_sub(LAST_WORDS);
        let last: Vec<_> = lines.iter().skip(skipped).map(String::as_str).collect();
        if last.is_empty() {
            return "(none)".to_owned();
        }
        last.join("\n")
    }

    async fn follow(self, stream: impl AsyncRead + Unpin) {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut bounded = (&mut reader).take(LINE_AT_MOST);
            match bounded.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.push(String::from_utf8_lossy(&line).trim_end().to_owned()),
            }
        }
    }

    fn push(&self, line: String) {
        let mut lines = self.lock();
        if lines.len() == LINES_AT_MOST {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("sh", command, &[("GIVEN".into(), "this".into())]).expect("a shell")
    }

    #[tokio::test]
    async fn a_child_gets_what_it_is_given_and_its_words_are_kept() {
        let mut child =
            shell("echo $GIVEN; echo \"[$HOME$CARGO_MANIFEST_DIR]\" >&2; test -n \"$PATH\"");
        let status = child.wait(Duration::from_secs(10)).await.expect("waited");
        assert!(status.expect("ended").success());
        for _ in 0..100 {
            if child.log().lines().len() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut lines = child.log().lines();
        lines.sort();
        assert_eq!(lines, ["[]", "this"]);
        assert!(matches!(child.check().await, Err(PeerError::Ended { .. })));
    }

    #[tokio::test]
    async fn one_that_will_not_end_is_killed() {
        let mut child = shell("trap '' TERM; echo deaf; while :; do sleep 0.05; done");
        for _ in 0..200 {
            if child.log().contains("deaf") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ended = child.stop(Duration::from_millis(200)).await.expect("ended");
        assert_eq!(ended, None);
        assert!(child.ended().expect("known").is_some());
    }

    #[tokio::test]
    async fn a_dropped_handle_ends_its_child() {
        let child = shell("exec sleep 600");
        let pid = Pid::from_raw(i32::try_from(child.pid().expect("runs")).expect("small"));
        let pid = pid.expect("not zero");
        assert!(rustix::process::test_kill_process(pid).is_ok());
        drop(child);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}
