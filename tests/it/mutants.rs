//! The patches of `scripts/mutants`, which runs by hand: whether each still fits the source that it is to break.

use std::fs;
use std::path::Path;

const FOLDERS: [&str; 2] = ["tests/simulation/mutants", "tests/it/leaks"];

#[test]
fn every_patch_fits_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let patches = FOLDERS
        .into_iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path());
    let mut hunks = 0;
    for path in patches.filter(|path| path.extension().is_some_and(|ending| ending == "patch")) {
        let patch = fs::read_to_string(&path).unwrap();
        let mut source = String::new();
        for part in patch
            .split_inclusive('\n')
            .collect::<Vec<_>>()
            .chunk_by(|_, line| !line.starts_with("@@ "))
        {
            // What was there before: lines that stay and lines that go.
            if part[0].starts_with("@@ ") {
                let before = part[1..]
                    .iter()
                    .take_while(|line| !line.starts_with("--- "));
                let before = before.filter(|line| line.starts_with([' ', '-']));
                let before: String = before.map(|line| &line[1..]).collect();
                assert!(
                    source.contains(&before),
                    "{}: not in the source:\n{before}",
                    path.display()
                );
                hunks += 1;
            }
            if let Some(name) = part.iter().find_map(|line| line.strip_prefix("+++ b/")) {
                source = fs::read_to_string(root.join(name.trim_end())).unwrap();
            }
        }
    }
    assert!(hunks > 50, "{hunks}");
}
