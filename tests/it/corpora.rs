//! Runs all of `fuzz/corpus/` through the properties of `fuzz/src/` in every test run.

#[path = "../../fuzz/src/lib.rs"]
pub mod promises;

use std::path::Path;

use promises::ALL;

#[test]
fn every_promise_holds_for_all_that_the_fuzzers_know() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for target in ALL {
        let folder = root.join(target.name);
        let mut inputs: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(inputs.len() >= 5, "{} holds no corpus", folder.display());
        for input in inputs {
            let bytes = std::fs::read(&input).unwrap();
            let held = std::panic::catch_unwind(|| (target.holds)(&bytes));
            assert!(held.is_ok(), "broken by {}", input.display());
        }
    }
}

/// Each property has a fuzz target, and there are no others.
#[test]
fn every_promise_is_fuzzed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut there: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut named: Vec<String> = ALL
        .iter()
        .map(|target| format!("{}.rs", target.name))
        .collect();
    there.sort();
    named.sort();
    assert_eq!(there, named);
}
