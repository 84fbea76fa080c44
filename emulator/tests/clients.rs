//! Runs `clients.py`: azure-identity, google-auth, boto3, botocore's signer and iam-rolesanywhere-session against `emulator
//! serve`. What Microsoft's, Google's and AWS' own clients understand is worth more than what we believe that they send. They
//! come from PyPI, once, below `target`.

use std::path::Path;
use std::process::Command;

#[test]
fn microsofts_and_aws_own_clients_are_served() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients.py");
    let output = Command::new("python3")
        .arg(script)
        .env("EMULATOR", env!("CARGO_BIN_EXE_emulator"))
        .output()
        .expect("python3 on the PATH");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(
        said.ends_with("every client got what it should\n"),
        "{said}"
    );
}
