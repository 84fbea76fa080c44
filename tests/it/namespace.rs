//! A network for one test: its own interfaces, routes, `/etc/hosts` and `/etc/resolv.conf`, without root.
//!
//! The test's binary starts itself again below `unshare`, for that one test. All that it starts there shares the network, which ends with the last of
//! them.

use std::future::Future;
use std::path::Path;
use std::process::Command;

const INSIDE: &str = "AMP_SIDECAR_TEST_INSIDE";

/// Runs `play` there; `test` is the calling test's full name.
pub fn in_a_network_of_its_own(test: &str, play: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"]);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        return runtime.unwrap().block_on(play);
    }
    let played = Command::new("unshare")
        .args(["--map-root-user", "--net", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare, of util-linux");
    let said = String::from_utf8_lossy(&played.stdout);
    let complained = String::from_utf8_lossy(&played.stderr);
    assert!(
        played.status.success() && said.contains("1 passed"),
        "where no namespace can be made: run the tests as root, or allow user namespaces\n{said}\n{complained}"
    );
}

pub fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    let status = status.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {arguments:?}");
}

/// Replaces a file of the system.
pub fn instead_of(place: &str, folder: &Path, text: &str) {
    let file = folder.join(place.trim_start_matches('/').replace('/', "-"));
    std::fs::write(&file, text).unwrap();
    run("mount", &["--bind", file.to_str().unwrap(), place]);
}
