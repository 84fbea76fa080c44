//! Shows how it goes: one line that is rewritten on a terminal, a line now and then anywhere else.
//!
//! In: scenes as they begin and a [`Glance`] twice a second. Out: text on stdout or stderr, in colour on a terminal. Scenes stay on the screen, the
//! line of state stands below the last of them. A reader that goes away is no reason to stop.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use super::paint::{Paint, Tone};
use super::plan::Scene;

/// Without a terminal a line now and then is enough.
const LINE_EVERY: Duration = Duration::from_secs(5);
const WIDTH: usize = 80;
const PICTURE_WIDTH: usize = 100;

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
    paint: Paint,
    /// Whether the line of state is on the screen.
    drawn: bool,
    last_line: Option<Instant>,
    /// What stays, as a coloured terminal shows it.
    transcript: String,
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
            paint: Paint::on(terminal),
            drawn: false,
            last_line: None,
            transcript: String::new(),
        }
    }

    /// One line that stays.
    pub(super) fn note(&mut self, text: &str) {
        let text = format!("{}\n", self.paint.text(Tone::Faint, text));
        self.write(&text);
    }

    pub(super) fn scene(&mut self, elapsed: Duration, scene: Scene, sender: &str) {
        let words = scene.words().replace("the sender", sender);
        let tone = match scene.strikes_when() {
            Some(_) => Tone::Warning,
            None => Tone::Good,
        };
        self.stay(elapsed, tone, &capitalised(scene.title()), &words);
    }

    pub(super) fn end(&mut self, elapsed: Duration) {
        let words = "No new samples from here on; the backlog is sent.";
        self.stay(elapsed, Tone::Good, "The end", words);
    }

    pub(super) fn show(&mut self, elapsed: Duration, left: Option<Duration>, glance: &Glance) {
        if self.terminal {
            let line = state(elapsed, left, glance, self.paint, self.width());
            let text = format!("{}{line}", self.erased());
            self.drawn = true;
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

    /// What stayed on the screen, coloured.
    pub(super) fn transcript(&self) -> &str {
        &self.transcript
    }

    fn stay(&mut self, elapsed: Duration, tone: Tone, title: &str, words: &str) {
        let text = paragraph(elapsed, (tone, title), words, Paint::ALWAYS, PICTURE_WIDTH);
        self.transcript.push_str(&text);
        let width = self.width().max(40);
        let text = paragraph(elapsed, (tone, title), words, self.paint, width);
        let text = format!("{}{text}", self.erased());
        self.write(&text);
    }

    /// What takes the line of state off the screen.
    fn erased(&mut self) -> &'static str {
        match std::mem::take(&mut self.drawn) {
            false => "",
            true => "\r\x1b[2K",
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

fn paragraph(
    elapsed: Duration,
    (tone, title): (Tone, &str),
    words: &str,
    paint: Paint,
    width: usize,
) -> String {
    let margin = format!("[{:>3} s] ", elapsed.as_secs());
    let mut text = String::new();
    let lines = wrapped(&format!("{title}. {words}"), width - margin.len() - 1);
    for (index, line) in lines.iter().enumerate() {
        let (margin, line) = match line.strip_prefix(title) {
            Some(rest) if index == 0 => {
                let title = paint.text(tone, title);
                (paint.text(Tone::Faint, &margin), format!("{title}{rest}"))
            }
            _ => (" ".repeat(margin.len()), line.clone()),
        };
        text.push_str(&format!("{margin}{line}\n"));
    }
    text
}

/// One line, cut where the terminal ends.
fn state(
    elapsed: Duration,
    left: Option<Duration>,
    glance: &Glance,
    paint: Paint,
    width: usize,
) -> String {
    let until = match left {
        Some(left) if left.is_zero() => "ending".to_owned(),
        Some(left) => format!("{} s to go", left.as_secs()),
        None => "Ctrl-C ends it".to_owned(),
    };
    let is_expired = glance.expires_in.is_some_and(|seconds| seconds <= 0.0);
    let pieces = [
        (Tone::Faint, format!("[{:>3} s] ", elapsed.as_secs())),
        (
            Tone::Plain,
            format!(
                "{} made, {} stored, ",
                grouped(glance.made),
                grouped(glance.stored)
            ),
        ),
        (
            Tone::of_losses(glance.lost),
            format!("{} lost", grouped(glance.lost)),
        ),
        (
            Tone::Plain,
            format!(", {} retried; credentials ", grouped(glance.held_back)),
        ),
        (
            if is_expired { Tone::Bad } else { Tone::Plain },
            glance.credentials(),
        ),
        (Tone::Faint, format!("; {until}")),
    ];
    let mut room = width.saturating_sub(1);
    let mut line = String::new();
    for (tone, text) in pieces {
        let text: String = text.chars().take(room).collect();
        room -= text.chars().count();
        line.push_str(&paint.text(tone, &text));
    }
    line
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

pub(super) fn capitalised(text: &str) -> String {
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
    fn the_line_of_state_fits_the_terminal_and_is_coloured_only_on_one() {
        let glance = Glance {
            scene: Scene::SessionEnds.title(),
            made: 12_345_678,
            stored: 12_345_000,
            held_back: 1234,
            expires_in: Some(-1.0),
            ..Glance::default()
        };
        let at = Duration::from_secs(3600);
        let plain = |width| state(at, None, &glance, Paint::NEVER, width);
        for width in [20, 40, 80] {
            assert_eq!(plain(width).chars().count(), width - 1);
            assert!(plain(200).starts_with(&plain(width)));
        }
        assert!(plain(200).contains("0 lost, 1,234 retried; credentials EXPIRED; Ctrl-C"));
        let coloured = state(at, None, &glance, Paint::ALWAYS, 200);
        for piece in ["\x1b[32m0 lost\x1b[0m", "\x1b[31;1mEXPIRED\x1b[0m"] {
            assert!(coloured.contains(piece), "{coloured:?}");
        }
    }

    #[test]
    fn a_scene_is_a_paragraph_under_its_title() {
        let of = |paint| {
            let title = (Tone::Warning, "STS fails");
            paragraph(
                Duration::from_secs(7),
                title,
                Scene::StsFails.words(),
                paint,
                60,
            )
        };
        let plain = of(Paint::NEVER);
        assert!(
            plain.starts_with("[  7 s] STS fails. STS answers 503 "),
            "{plain}"
        );
        assert!(plain.lines().all(|line| line.len() < 60), "{plain}");
        assert!(of(Paint::ALWAYS).contains("\x1b[33mSTS fails\x1b[0m. STS answers"));
    }
}
