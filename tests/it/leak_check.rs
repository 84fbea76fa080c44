//! Captures everything that a test run shows, and searches it for secrets.
//!
//! Every test gets its [`World`] from here and not from the emulator. When it ends, each secret that it ever issued (tokens, keys, sessions,
//! signatures), and each that a test marked, is searched for in everything that the process has shown so far: log lines at TRACE, metrics, probes,
//! responses to senders and query clients, reports of `check`, spans, the configuration in all its forms, panics. A piece of a secret fails the test,
//! also in hexadecimal, base64, percent-encoding, or as a list of bytes. Tests of one process also search each other's lines, which is harmless.
//! `scripts/mutants leaks` proves that leaks are found.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use aho_corasick::AhoCorasick;
use aws_sigv4::sign::v4::generate_signing_key;
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use emulator::world::{Error, Target, WorldConfig};
use percent_encoding::percent_decode_str;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The length of the pieces to search for, in bytes: any piece [`STRIDE`] longer than this is found.
const PIECE: usize = 16;
const STRIDE: usize = 8;

static SHOWN: LazyLock<Mutex<Shown>> = LazyLock::new(Mutex::default);
static MARKED: LazyLock<Mutex<Vec<Secret>>> = LazyLock::new(Mutex::default);
/// For any piece, wherever it was cut.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    NO_PAD.with_decode_allow_trailing_bits(true),
);

static LIBRARIES: AtomicBool = AtomicBool::new(false);

/// The kind of a secret, and the secret.
pub type Secret = (&'static str, Vec<u8>);

/// Each line once, with its content in other encodings as soon as it is searched: the next world searches it again.
type Shown = HashMap<String, OnceCell<Vec<Vec<u8>>>>;

/// The emulator's world; dropping it runs the search.
pub struct World(emulator::world::World);

/// The log's writer.
struct Lines;

impl World {
    pub async fn start(config: WorldConfig) -> Result<Self, Error> {
        listen();
        emulator::world::World::start(config).await.map(Self)
    }

    /// All that it has issued so far.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets = Vec::new();
        for (what, secret) in self.0.secrets() {
            if what == "secret key" {
                let now = self.clock().now();
                let key = generate_signing_key(&secret, now, self.region(), "aps");
                secrets.push(("signing key of the day", key.as_ref().to_vec()));
            }
            secrets.push((what, secret.into_bytes()));
        }
        for target in [Target::Amp, Target::Sts] {
            for seen in self.journal(target).requests() {
                let authorization = seen.headers.get("authorization");
                let words = authorization.and_then(|value| value.to_str().ok());
                if let Some((_, signature)) = words.and_then(|words| words.split_once("Signature="))
                {
                    secrets.push(("signature", signature.into()));
                }
            }
        }
        secrets
    }
}

impl Deref for World {
    type Target = emulator::world::World;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let mut secrets = self.secrets();
        secrets.extend(locked(&MARKED).iter().cloned());
        let leak = leak(&locked(&SHOWN), &secrets);
        // A second panic would hide the first.
        if let Some((what, line)) = leak
            && !std::thread::panicking()
        {
            panic!("a {what} is shown: {line}");
        }
    }
}

/// Records text that a user, a sender or a log may see.
pub fn show(text: &str) {
    let lines = text.lines().map(|line| (line.to_owned(), OnceCell::new()));
    locked(&SHOWN).extend(lines);
}

/// Marks a secret that the world does not know.
pub fn mark(what: &'static str, secret: impl AsRef<[u8]>) {
    let secret = secret.as_ref();
    assert!(secret.len() >= 8, "{what}: too short to be searched for");
    locked(&MARKED).push((what, secret.into()));
}

/// Also captures libraries at TRACE from now on: much text, so only where it matters.
pub fn libraries_too() {
    listen();
    LIBRARIES.store(true, Ordering::Relaxed);
}

/// Whether any captured line contains this text.
pub fn was_shown(words: &str) -> bool {
    locked(&SHOWN).keys().any(|line| line.contains(words))
}

/// The first line with a secret, or with a piece of one.
fn leak(lines: &Shown, secrets: &[Secret]) -> Option<(&'static str, String)> {
    let mut kinds = Vec::new();
    let mut pieces: Vec<&[u8]> = Vec::new();
    for (what, secret) in secrets {
        // The first part of a token, its header, is the same in all.
        let parts: Vec<&[u8]> = match secret.split(|byte| *byte == b'.').collect::<Vec<_>>() {
            parts if parts.len() == 3 => parts.into_iter().skip(1).collect(),
            _ => vec![secret],
        };
        for part in parts {
            let in_full = (8..PIECE + STRIDE).contains(&part.len());
            let windows = part.windows(PIECE).step_by(STRIDE);
            pieces.extend(windows.chain(in_full.then_some(part)));
            kinds.resize(pieces.len(), *what);
        }
    }
    // By a dependency, because it is optimised: our own code, which is not, takes longer here than in all of most tests.
    let pieces = AhoCorasick::new(pieces).unwrap();
    let holds = |said: &[u8]| Some(kinds[pieces.find(said)?.pattern()]);
    lines.iter().find_map(|(line, encoded)| {
        let found = holds(line.as_bytes());
        let encoded = || encoded.get_or_init(|| decoded(line)).iter();
        let found = found.or_else(|| encoded().find_map(|said| holds(said)));
        found.map(|what| (what, line.clone()))
    })
}

/// The content of a line in other encodings.
fn decoded(line: &str) -> Vec<Vec<u8>> {
    let runs = |belongs: fn(char) -> bool| line.split(move |c| !belongs(c));
    let lists = runs(|c| c.is_ascii_digit() || c == ',' || c == ' ').map(|list| {
        let numbers = list.split(',').map(|number| number.trim().parse());
        numbers.filter_map(Result::ok).collect()
    });
    let hexadecimal = runs(|c| c.is_ascii_hexdigit()).filter_map(|run| hex::decode(run).ok());
    let base64 = runs(|c| c.is_ascii_alphanumeric() || "+/-_".contains(c)).filter_map(|run| {
        let standard = run.replace('-', "+").replace('_', "/");
        BASE64.decode(standard).ok()
    });
    let percent = line
        .contains('%')
        .then(|| percent_decode_str(line).collect());
    let all = lists.chain(hexadecimal).chain(base64).chain(percent);
    all.filter(|said: &Vec<u8>| said.len() >= 8).collect()
}

/// Once per process, before anything is logged.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ours = dynamic_filter_fn(|metadata, _| {
            metadata.target().starts_with("amp_sidecar") || LIBRARIES.load(Ordering::Relaxed)
        });
        let lines = tracing_subscriber::fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_writer(|| Lines)
            .with_filter(ours);
        tracing_subscriber::registry().with(lines).init();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            show(&panic.to_string());
            before(panic);
        }));
    });
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        show(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn locked<T>(all: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_secret_that_is_shown_is_found_in_part_and_in_full() {
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL25vYm9keSJ9.cGxhbnRlZC1zaWduYXR1cmU";
    let secrets = [
        ("token", token.into()),
        ("password", "s3cret-word".into()),
        ("signature", "0123456789abcdef".repeat(4).into()),
        (
            "session token",
            "IQoJb3JpZ2luX2VjEA0/+aBcDeFgHiJkLmN/OpQr==".into(),
        ),
        ("key", (100..132).collect()),
    ];
    let found = |line: &str| {
        let lines = ["all is well", line].map(|line| (line.to_owned(), OnceCell::new()));
        let lines = Shown::from(lines);
        leak(&lines, &secrets).map(|(what, _)| what)
    };
    assert_eq!(
        found("nothing, and eyJhbGciOiJSUzI1NiJ9 is every token's"),
        None
    );
    assert_eq!(
        found("the proxy http://me:s3cret-word@proxy"),
        Some("password")
    );
    assert_eq!(found(&format!("Bearer {token}")), Some("token"));
    for cut in 21..token.len() - PIECE - STRIDE {
        let piece = &token[cut..cut + PIECE + STRIDE];
        // The dot separates two pieces that are each too short if it is in the middle.
        let longest = piece.split('.').map(str::len).max().unwrap();
        if longest >= PIECE + STRIDE - 1 {
            assert_eq!(found(&format!("x{piece}x")), Some("token"), "{piece}");
        }
    }
    assert_eq!(found("…89abcdef0123456789abcdef…"), Some("signature"));
    // As in a header, in a form, and in derived `Debug`.
    assert_eq!(
        found("Proxy-Authorization: Basic bWU6czNjcmV0LXdvcmQ="),
        Some("password")
    );
    let encoded = "Token=IQoJb3JpZ2luX2VjEA0%2F%2BaBcDe%46gHiJkLmN%2FOpQr%3D%3D&Version=1";
    assert_eq!(found(encoded), Some("session token"));
    let key: Vec<u8> = (100..132).collect();
    assert_eq!(found(&format!("Key {{ bytes: {key:?} }}")), Some("key"));
    assert_eq!(found(&format!("key {}", hex::encode(key))), Some("key"));
}
