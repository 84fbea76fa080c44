use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const GOOD: &str =
    "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = planted/secret+key=\n";

/// A file of its own in a temporary folder, removed at the end.
struct Written(PathBuf);

impl Written {
    fn new(text: &str) -> Self {
        let name = format!("amp-sidecar-profile-{}", fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let written = Self(folder.join("credentials"));
        fs::write(&written.0, text).unwrap();
        written
    }

    fn replace(&self, text: &str) {
        let beside = self.0.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, &self.0).unwrap();
    }

    fn profile(&self, profile: &str) -> Profile {
        at(&self.0, profile)
    }
}

fn at(file: &Path, profile: &str) -> Profile {
    let (file, profile) = (file.to_owned(), profile.to_owned());
    Profile::new(ProfileConfig { file, profile })
}

impl Drop for Written {
    fn drop(&mut self) {
        fs::remove_dir_all(self.0.parent().unwrap()).unwrap();
    }
}

#[tokio::test]
async fn keys_are_taken_as_they_are_written_and_have_no_expiry() {
    let text = format!(
        "{GOOD}region = eu-central-1\n[temporary]\naws_access_key_id=ASIAEXAMPLE\naws_secret_access_key=planted\naws_session_token=planted==\nx_security_token_expires = 2001-01-01T00:00:00Z\n[both]\naws_access_key_id=ASIAEXAMPLE\naws_secret_access_key=planted\naws_session_token=newer\naws_security_token=older\n"
    );
    let file = Written::new(&text);
    for (profile, id, token) in [
        ("default", "AKIAEXAMPLE", None),
        ("temporary", "ASIAEXAMPLE", Some("planted==")),
        ("both", "ASIAEXAMPLE", Some("older")),
    ] {
        let obtained = file.profile(profile).obtain().await.unwrap();
        let keys = &obtained.credentials;
        assert_eq!((keys.access_key_id(), keys.session_token()), (id, token));
        assert_eq!(obtained.expires, None);
        assert!(!format!("{obtained:?}").contains("planted"));
    }
}

#[tokio::test]
async fn what_gives_no_keys_is_named_with_what_to_do_and_without_a_key() {
    let with = |option: &str| format!("{GOOD}{option}\n");
    for (text, name, words, row) in [
        (
            String::new(),
            "credentials_file_no_profile",
            "no profile \"default\", and no other one",
            rows::PROFILE,
        ),
        (
            "[a]\n[ default ]\n".to_owned(),
            "credentials_file_no_profile",
            "no profile \"default\", but \" default \", \"a\"",
            rows::PROFILE,
        ),
        (
            GOOD.replace("[default]", "[profile default]"),
            "credentials_file_no_profile",
            "in this file the profile is called [default]",
            rows::PROFILE,
        ),
        (
            "[default]\naws_secret_access_key = planted".to_owned(),
            "credentials_file_no_keys",
            "[default] has no aws_access_key_id",
            rows::KEYS,
        ),
        (
            "[default]\naws_access_key_id = AKIA".to_owned(),
            "credentials_file_no_keys",
            "[default] has no aws_secret_access_key",
            rows::KEYS,
        ),
        (
            GOOD.replace("AKIA", "ASIA"),
            "credentials_file_no_keys",
            "aws_session_token is missing",
            rows::KEYS,
        ),
        (
            with("aws_session_token ="),
            "credentials_file_no_keys",
            "aws_session_token is empty",
            rows::KEYS,
        ),
        (
            with("aws_session_token = planted\n  planted"),
            "credentials_file_no_keys",
            "aws_session_token contains white space, a line break",
            rows::KEYS,
        ),
        (
            with("planted"),
            "credentials_file_malformed",
            "line 4: neither [section] nor name = value",
            rows::SYNTAX,
        ),
        (
            with(&"# comment\n".repeat(60_000)),
            "credentials_file_malformed",
            "longer than 524288 bytes",
            rows::SYNTAX,
        ),
        (
            with("credential_process = /bin/planted"),
            "credentials_file_unsupported",
            "has credential_process, which is not supported",
            rows::PROGRAM,
        ),
        (
            with("role_arn = arn"),
            "credentials_file_unsupported",
            "has role_arn",
            rows::ROLE,
        ),
        (
            with("source_profile = base"),
            "credentials_file_unsupported",
            "has source_profile",
            rows::ROLE,
        ),
        (
            with("credential_source = Environment"),
            "credentials_file_unsupported",
            "has credential_source",
            rows::ROLE,
        ),
        (
            with("web_identity_token_file = /token"),
            "credentials_file_unsupported",
            "has web_identity_token_file",
            rows::WEB_IDENTITY,
        ),
        (
            with("sso_start_url = https://x"),
            "credentials_file_unsupported",
            "has sso_start_url",
            rows::SSO,
        ),
    ] {
        let file = Written::new(&text);
        let error = file.profile("default").obtain().await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(words) && !said.contains("planted"),
            "{words}: {said}"
        );
        assert!(
            said.starts_with(&format!("credentials file {}: ", file.0.display())),
            "{said}"
        );
        assert_eq!((error.name(), error.remedy()), (name, row.into()), "{said}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named_with_its_remedy() {
    let file = Written::new(GOOD);
    let folder = file.0.parent().unwrap().to_owned();
    for path in [
        file.0.with_extension("missing"),
        folder,
        file.0.join("below"),
    ] {
        let error = at(&path, "default").obtain().await.unwrap_err();
        assert_eq!(error.name(), "credentials_file_unreadable");
        assert_eq!(error.remedy(), rows::MISSING.into(), "{error}");
    }
}

#[tokio::test]
async fn a_change_is_one_of_the_keys_and_a_rename_is_seen() {
    let file = Written::new(GOOD);
    let profile = file.profile("default");
    assert!(profile.changed().await, "nothing was read yet");
    profile.obtain().await.unwrap();
    assert!(!profile.changed().await);
    file.replace(&format!("# touched\n{GOOD}[other]\n"));
    assert!(!profile.changed().await, "the keys are the same");
    file.replace(&GOOD.replace("planted", "next"));
    assert!(profile.changed().await);
    profile.obtain().await.unwrap();
    file.replace("[default]\n");
    assert!(profile.changed().await, "the keys are gone");
    profile.obtain().await.unwrap_err();
    assert!(!profile.changed().await, "they still are");
    file.replace(GOOD);
    assert!(profile.changed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_in_place_gives_no_half_of_a_key() {
    let file = Written::new(GOOD);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (path, stop) = (file.0.clone(), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                fs::write(&path, GOOD).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let profile = file.profile("default");
    for _ in 0..200 {
        let obtained = profile.obtain().await.unwrap();
        assert_eq!(
            obtained.credentials.secret_access_key(),
            "planted/secret+key="
        );
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}
