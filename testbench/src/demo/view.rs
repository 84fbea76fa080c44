//! Shows how it goes: a block that is redrawn on a terminal, plain lines anywhere else.
//!
//! In: scenes as they begin and a [`Glance`] twice a second. Out: text on stdout or stderr. Scenes stay on the screen, the
//! block stands below the last of them. A reader that goes away is no reason to stop.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use super::plan::Scene;

/// Without a terminal a line now and then is enough.
const LINE_EVERY: Duration = Duration::from_secs(5);
const WIDTH: usize = 80;

/// How things stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Glance {
    pub(super) scene: &'static str,
    pub(super) made: u64,
    pub(super) lost: u64,
    pub(super) stored: u64,
    pub(super) batches: u64,
    pub(super) held_back: u64,
    pub(super) refreshes: u64,
    /// Seconds, below zero once they have.
    pub(super) expires_in: Option<f64>,
}

/// Where progress is shown.
pub(super) struct View {
    out: Out,
    terminal: bool,
    /// Lines of the block that is on the screen.
    drawn: usize,
    last_line: Option<Instant>,
}

enum Out {
    Stdout(io::Stdout),
    Stderr(io::Stderr),
}

// === impl Glance ===

impl Glance {
    fn credentials(&self) -> String {
        match self.expires_in {
            None => "none yet".to_owned(),
            Some(seconds) if seconds > 0.0 => format!("valid for {seconds:.0} s"),
            Some(_) => "EXPIRED".to_owned(),
        }
    }
}

// === impl View ===

impl View {
    pub(super) fn new(on_stderr: bool) -> Self {
        let out = if on_stderr {
            Out::Stderr(io::stderr())
        } else {
            Out::Stdout(io::stdout())
        };
        let terminal = match &out {
            Out::Stdout(out) => out.is_terminal(),
            Out::Stderr(out) => out.is_terminal(),
        };
        Self {
            out,
            terminal,
            drawn: 0,
            last_line: None,
        }
    }

    /// One line that stays.
    pub(super) fn note(&mut self, text: &str) {
        let text = format!("{text}\n");
        self.write(&text);
    }

    pub(super) fn scene(&mut self, elapsed: Duration, scene: Scene, sender: &str) {
        let words = scene.words().replace("the sender", sender);
        self.stay(elapsed, &format!("{}. {words}", capitalised(scene.title())));
    }

    pub(super) fn end(&mut self, elapsed: Duration) {
        self.stay(elapsed, "No new samples from here on; the backlog is sent.");
    }

    pub(super) fn show(&mut self, elapsed: Duration, left: Option<Duration>, glance: &Glance) {
        if self.terminal {
            let block = block(elapsed, left, glance);
            let width = self.width();
            let mut text = self.erased();
            for line in &block {
                text.extend(line.chars().take(width.saturating_sub(1)));
                text.push('\n');
            }
            self.drawn = block.len();
            self.write(&text);
        } else if self
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_EVERY)
        {
            self.last_line = Some(Instant::now());
            let text = line(elapsed, glance);
            self.write(&text);
        }
    }

    /// The summary comes next.
    pub(super) fn finish(&mut self) {
        let text = format!("{}\n", self.erased());
        self.write(&text);
    }

    fn stay(&mut self, elapsed: Duration, words: &str) {
        let mut text = self.erased();
        let width = self.width().max(40);
        let margin = format!("[{:>3} s] ", elapsed.as_secs());
        for (index, line) in wrapped(words, width - margin.len() - 1).iter().enumerate() {
            let indent = if index == 0 { margin.as_str() } else { "" };
            text.push_str(&format!("{indent:<width$}{line}\n", width = margin.len()));
        }
        self.write(&text);
    }

    /// What takes the block off the screen.
    fn erased(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }

    fn width(&self) -> usize {
        if !self.terminal {
            return WIDTH * 2;
        }
        let size = match &self.out {
            Out::Stdout(out) => rustix::termios::tcgetwinsize(out),
            Out::Stderr(out) => rustix::termios::tcgetwinsize(out),
        };
        let columns = size.map_or(0, |size| usize::from(size.ws_col));
        if columns == 0 { WIDTH } else { columns }
    }

    fn write(&mut self, text: &str) {
        let out: &mut dyn Write = match &mut self.out {
            Out::Stdout(out) => out,
            Out::Stderr(out) => out,
        };
        let _written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn block(elapsed: Duration, left: Option<Duration>, glance: &Glance) -> Vec<String> {
    let until = match left {
        Some(left) if left.is_zero() => "ending".to_owned(),
        Some(left) => format!("{} s to go", left.as_secs()),
        None => "Ctrl-C ends it".to_owned(),
    };
    vec![
        String::new(),
        format!(
            "  {:>4} s       {:<28} {until}",
            elapsed.as_secs(),
            glance.scene
        ),
        format!(
            "  samples      made {:<12} stored {:<12} lost {}",
            grouped(glance.made),
            grouped(glance.stored),
            grouped(glance.lost)
        ),
        format!(
            "  batches      stored {:<10} held back for the sender to retry {}",
            grouped(glance.batches),
            grouped(glance.held_back)
        ),
        format!(
            "  credentials  {:<17} got {} times",
            glance.credentials(),
            grouped(glance.refreshes)
        ),
    ]
}

fn line(elapsed: Duration, glance: &Glance) -> String {
    format!(
        "[{:>3} s]   samples: {} made, {} stored, {} lost; batches: {} stored, {} held back; credentials: {}, got {} times\n",
        elapsed.as_secs(),
        grouped(glance.made),
        grouped(glance.stored),
        grouped(glance.lost),
        grouped(glance.batches),
        grouped(glance.held_back),
        glance.credentials(),
        grouped(glance.refreshes)
    )
}

/// `1,234,567`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_words_wrapped() {
        let shown: Vec<_> = [0, 999, 1000, 12_345, 1_234_567].map(grouped).into();
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
        let lines = wrapped(Scene::StsFails.words(), 40);
        assert!(lines.iter().all(|line| line.len() <= 40), "{lines:?}");
        assert_eq!(lines.join(" "), Scene::StsFails.words());
    }

    #[test]
    fn the_block_fits_a_narrow_terminal_and_names_what_counts() {
        let glance = Glance {
            scene: Scene::SessionEnds.title(),
            made: 12_345_678,
            stored: 12_345_000,
            batches: 123_456,
            held_back: 1234,
            expires_in: Some(-1.0),
            ..Glance::default()
        };
        let block = block(Duration::from_secs(3600), None, &glance);
        assert!(
            block.iter().all(|line| line.chars().count() < WIDTH),
            "{block:#?}"
        );
        assert!(block.concat().contains("EXPIRED"));
    }
}
