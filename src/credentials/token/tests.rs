use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::remedies::first_hour::{TOKEN_FOLDER, TOKEN_MISSING};

/// A temporary folder.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!(
            "amp-sidecar-token-{}-{}",
            std::process::id(),
            fastrand::u64(..)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn read_text(text: &str) -> Result<String, &'static str> {
    let folder = Folder::new();
    let path = folder.0.join("token");
    std::fs::write(&path, text).unwrap();
    read(&path)
        .await
        .map(|token| token.expose().to_owned())
        .map_err(|error| error.name())
}

#[tokio::test]
async fn what_is_no_token_is_named() {
    for spaced in [
        "eyJh.eyJz.c2ln",
        " \n eyJh.eyJz.c2ln\r\n",
        "\teyJh.eyJz.c2ln\u{a0}",
    ] {
        assert_eq!(read_text(spaced).await, Ok("eyJh.eyJz.c2ln".into()));
    }
    assert_eq!(read_text("").await, Err("token_empty"));
    assert_eq!(read_text("\n\n").await, Err("token_empty"));
    for torn in [
        "eyJh",
        "eyJh.eyJz",
        "eyJh.eyJz.",
        "eyJh..c2ln",
        "a.b.c.d",
        "not a token",
        "a.b.c\nd",
    ] {
        assert_eq!(read_text(torn).await, Err("token_malformed"), "{torn:?}");
    }
    let long = format!("a.{}.c", "b".repeat(20_000));
    assert_eq!(read_text(&long).await, Err("token_too_long"));
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_to_look_at() {
    let missing = read(Path::new("/does/not/exist")).await.unwrap_err();
    assert_eq!(missing.name(), "token_unreadable");
    assert!(missing.remedy().rows() == [TOKEN_MISSING]);
    let folder = read(&std::env::temp_dir()).await.unwrap_err();
    assert!(folder.remedy().rows() == [TOKEN_FOLDER]);
}

#[tokio::test]
async fn a_token_is_not_shown() {
    let token = Token::of("eyJh.eyJz.c2ln").unwrap();
    assert_eq!(format!("{token:?}"), "Token([withheld])");
}

/// Three parts that belong together, of a real token's size.
fn numbered(n: u32) -> String {
    let part = |length: usize| format!("{n:08}").repeat(length / 8);
    format!("{}.{}.{}", part(96), part(1200), part(344))
}

fn is_whole(token: &str) -> bool {
    token
        .get(..8)
        .is_some_and(|number| number.parse().is_ok_and(|n| token == numbered(n)))
}

/// As kubelet does it: a new folder, a new link that replaces `..data`; then the old folder is removed.
fn rotate(folder: &Path, n: u32) {
    let fresh = format!("..{n}");
    std::fs::create_dir(folder.join(&fresh)).unwrap();
    std::fs::write(folder.join(&fresh).join("token"), numbered(n)).unwrap();
    std::os::unix::fs::symlink(&fresh, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if let Some(old) = n.checked_sub(1) {
        std::fs::remove_dir_all(folder.join(format!("..{old}"))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_each_millisecond_tears_no_token_and_is_no_error() {
    const ROTATIONS: u32 = 3000;
    let folder = Folder::new();
    rotate(&folder.0, 0);
    std::os::unix::fs::symlink("..data/token", folder.0.join("token")).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let kubelet = std::thread::spawn({
        let (folder, over) = (folder.0.clone(), Arc::clone(&over));
        move || {
            for n in 1..=ROTATIONS {
                rotate(&folder, n);
                std::thread::sleep(Duration::from_millis(1));
            }
            over.store(true, Ordering::SeqCst);
        }
    });
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (path, over) = (folder.0.join("token"), Arc::clone(&over));
            tokio::spawn(async move {
                let mut seen = std::collections::HashSet::new();
                while !over.load(Ordering::SeqCst) {
                    let token = read(&path).await.unwrap();
                    assert!(is_whole(token.expose()), "torn: {}", token.expose());
                    seen.insert(token.expose().to_owned());
                }
                seen.len()
            })
        })
        .collect();
    for reader in readers {
        let seen = reader.await.unwrap();
        assert!(seen > 100, "only {seen} of {ROTATIONS} tokens were met");
    }
    kubelet.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_written_in_place_gives_a_whole_token_or_none() {
    let folder = Folder::new();
    let path = folder.0.join("token");
    std::fs::write(&path, numbered(0)).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (path, over) = (path.clone(), Arc::clone(&over));
        move || {
            use std::io::Write;
            for n in 1..2000 {
                let text = numbered(n);
                let mut file = File::create(&path).unwrap();
                for piece in text.as_bytes().chunks(400) {
                    file.write_all(piece).unwrap();
                }
                std::thread::sleep(Duration::from_micros(fastrand::u64(100..1500)));
            }
            over.store(true, Ordering::SeqCst);
        }
    });
    let mut whole = 0;
    while !over.load(Ordering::SeqCst) {
        match read(&path).await {
            Ok(token) => {
                // A prefix that ends inside the third part has the form of a token; only its issuer could tell.
                assert!(numbered_prefix(token.expose()), "torn: {}", token.expose());
                whole += 1;
            }
            Err(error) => assert!(
                matches!(
                    error.name(),
                    "token_empty" | "token_malformed" | "token_changing"
                ),
                "{error}"
            ),
        }
    }
    writer.join().unwrap();
    assert!(whole > 100, "{whole}");
}

fn numbered_prefix(token: &str) -> bool {
    token
        .get(..8)
        .is_some_and(|number| number.parse().is_ok_and(|n| numbered(n).starts_with(token)))
}
