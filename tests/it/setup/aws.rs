//! The output for AWS: run with the real aws CLI against moto, an emulation of AWS' own API, linted, parsed.
//!
//! moto stores a trust policy without evaluating it; the emulator does that.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::{AKS, ANYWHERE, EKS, Folder, GOOGLE, PLACE, peer, printed, trust_policy};

struct Moto {
    process: Child,
    url: String,
}

impl Moto {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server is not on the PATH: scripts/test brings it");
        let url = format!("http://127.0.0.1:{port}");
        let moto = Self { process, url };
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return moto;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("moto_server does not listen after 60 s");
    }

    /// A command that uses this moto as AWS.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_DEFAULT_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN");
        command
    }

    fn aws(&self, arguments: &[&str]) -> Value {
        let words = peer(
            self.command("aws")
                .args(["--output", "json"])
                .args(arguments),
        );
        if words.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&words).unwrap()
    }

    fn run(&self, script: &Path) -> std::process::Output {
        self.command("bash").arg(script).output().unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_for_aws_end_in_credentials_and_may_be_run_again() {
    let moto = Moto::start();
    let folder = Folder::new();
    let text = printed(&[&["aws", "--issuer", AKS], &PLACE]);
    let script = folder.write("aws.sh", &text);
    for time in ["first", "second"] {
        let output = moto.run(&script);
        assert!(output.status.success(), "{time}: {output:?}");
        let words = String::from_utf8(output.stdout).unwrap();
        assert!(
            words.contains("AWS_ROLE_ARN=arn:aws:iam::123456789012:role/amp-sidecar"),
            "{words}"
        );
    }

    let role = moto.aws(&["iam", "get-role", "--role-name", "amp-sidecar"]);
    let wanted: Value = serde_json::from_str(&trust_policy(&text)).unwrap();
    assert_eq!(role["Role"]["AssumeRolePolicyDocument"], wanted);
    let arn = wanted["Statement"][0]["Principal"]["Federated"]
        .as_str()
        .unwrap();
    let provider = moto.aws(&[
        "iam",
        "get-open-id-connect-provider",
        "--open-id-connect-provider-arn",
        arn,
    ]);
    // The API shows the URL without its scheme.
    assert_eq!(
        provider["Url"]
            .as_str()
            .map(|url| format!("https://{}", url.trim_start_matches("https://"))),
        Some(AKS.to_owned())
    );
    assert_eq!(
        provider["ClientIDList"],
        serde_json::json!(["sts.amazonaws.com"])
    );
    let policy = moto.aws(&[
        "iam",
        "get-role-policy",
        "--role-name",
        "amp-sidecar",
        "--policy-name",
        "amp-sidecar",
    ]);
    let statement = &policy["PolicyDocument"]["Statement"][0];
    assert_eq!(statement["Action"], serde_json::json!(["aps:RemoteWrite"]));
    assert_eq!(
        statement["Resource"],
        "arn:aws:aps:eu-central-1:123456789012:workspace/ws-0a1b"
    );

    // Like the pod: without keys, with token and role only.
    let world = crate::leak_check::World::start(Default::default())
        .await
        .unwrap();
    let mut caller = moto.command("aws");
    caller
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_ROLE_ARN", role["Role"]["Arn"].as_str().unwrap())
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", world.token_file())
        .env("AWS_ROLE_SESSION_NAME", "prometheus-0")
        .args(["sts", "get-caller-identity", "--output", "json"]);
    let caller: Value = serde_json::from_str(&peer(&mut caller)).unwrap();
    assert_eq!(
        caller["Arn"],
        "arn:aws:sts::123456789012:assumed-role/amp-sidecar/prometheus-0"
    );
}

#[test]
fn the_commands_for_aws_leave_anothers_role_and_account_alone() {
    let moto = Moto::start();
    let folder = Folder::new();
    let theirs = r#"{"Version": "2012-10-17", "Statement": []}"#;
    moto.aws(&[
        "iam",
        "create-role",
        "--role-name",
        "amp-sidecar",
        "--assume-role-policy-document",
        theirs,
    ]);
    let script = folder.write("aws.sh", &printed(&[&["aws", "--issuer", AKS], &PLACE]));
    let output = moto.run(&script);
    assert!(!output.status.success());
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("--role-name"), "{words}");
    let role = moto.aws(&["iam", "get-role", "--role-name", "amp-sidecar"]);
    assert_eq!(
        role["Role"]["AssumeRolePolicyDocument"]["Statement"],
        serde_json::json!([])
    );

    let elsewhere: Vec<&str> = PLACE
        .iter()
        .map(|one| {
            if *one == "123456789012" {
                "111122223333"
            } else {
                one
            }
        })
        .collect();
    let script = folder.write("aws.sh", &printed(&[&["aws", "--issuer", AKS], &elsewhere]));
    let output = moto.run(&script);
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("not for account")
    );
}

#[test]
fn cloudformation_is_clean_and_makes_the_same_role() {
    let folder = Folder::new();
    let arguments: &[&[&str]] = &[&["aws", "--issuer", AKS], &PLACE];
    let text = printed(&[arguments[0], arguments[1], &["--format", "cloudformation"]]);
    let template = folder.write("template.yaml", &text);
    peer(Command::new("cfn-lint").arg(&template));

    let moto = Moto::start();
    let body = format!("file://{}", template.display());
    moto.aws(&[
        "cloudformation",
        "create-stack",
        "--stack-name",
        "amp-sidecar",
        "--capabilities",
        "CAPABILITY_NAMED_IAM",
        "--template-body",
        &body,
        "--parameters",
        "ParameterKey=CreateProvider,ParameterValue=no",
    ]);
    let stacks = moto.aws(&[
        "cloudformation",
        "describe-stacks",
        "--stack-name",
        "amp-sidecar",
    ]);
    assert_eq!(stacks["Stacks"][0]["StackStatus"], "CREATE_COMPLETE");
    let role = moto.aws(&["iam", "get-role", "--role-name", "amp-sidecar"]);
    let of_script: Value = serde_json::from_str(&trust_policy(&printed(arguments))).unwrap();
    assert_eq!(role["Role"]["AssumeRolePolicyDocument"], of_script);
    assert_eq!(
        stacks["Stacks"][0]["Outputs"][0]["OutputValue"],
        role["Role"]["Arn"]
    );
}

#[test]
fn googles_role_is_made_without_a_provider_by_commands_and_by_cloudformation() {
    let (moto, folder) = (Moto::start(), Folder::new());
    let text = printed(&[&["aws"], &GOOGLE, &PLACE]);
    let script = folder.write("aws.sh", &text);
    for time in ["first", "second"] {
        let output = moto.run(&script);
        assert!(output.status.success(), "{time}: {output:?}");
    }
    let wanted: Value = serde_json::from_str(&trust_policy(&text)).unwrap();
    let made = |name: &str| {
        let role = moto.aws(&["iam", "get-role", "--role-name", name]);
        role["Role"]["AssumeRolePolicyDocument"].clone()
    };
    assert_eq!(made("amp-sidecar"), wanted);
    assert_eq!(
        wanted["Statement"][0]["Principal"]["Federated"],
        "accounts.google.com"
    );
    let providers = moto.aws(&["iam", "list-open-id-connect-providers"]);
    assert_eq!(
        providers["OpenIDConnectProviderList"],
        serde_json::json!([])
    );

    let form = ["--format", "cloudformation", "--role-name", "another"];
    let template = folder.write(
        "template.yaml",
        &printed(&[&["aws"], &GOOGLE, &PLACE, &form]),
    );
    peer(Command::new("cfn-lint").arg(&template));
    let body = format!("file://{}", template.display());
    moto.aws(&[
        "cloudformation",
        "create-stack",
        "--stack-name",
        "amp-sidecar",
        "--capabilities",
        "CAPABILITY_NAMED_IAM",
        "--template-body",
        &body,
    ]);
    assert_eq!(made("another"), wanted);
}

/// A service of AWS that answers in JSON; each request line and body is reported.
fn stand_in(answer: impl Fn(&str) -> Value + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (report, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let length = |head: &str| {
                let length = head.to_ascii_lowercase();
                let length = length.split("content-length: ").nth(1).map(str::to_owned);
                length.map_or(0, |rest| {
                    rest.split("\r\n").next().unwrap().parse().unwrap()
                })
            };
            let text = loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                match text.split_once("\r\n\r\n") {
                    Some((head, body)) if body.len() >= length(head) => break text,
                    _ => assert!(read > 0),
                }
            };
            let line = text.lines().next().unwrap().to_owned();
            let answer = answer(&line).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            stream
                .write_all(format!("{head}{answer}").as_bytes())
                .unwrap();
            let body = text.split_once("\r\n\r\n").unwrap().1.to_owned();
            report.send(format!("{line} {body}")).unwrap_or_default();
        }
    });
    (url, requests)
}

/// EKS with one association or none.
fn eks(associated: Option<&'static str>) -> (String, Receiver<String>) {
    stand_in(move |line| {
        let association = serde_json::json!({"associationId": "a-1", "roleArn": associated});
        match (line.contains("/pod-identity-associations?"), associated) {
            (true, Some(_)) => serde_json::json!({"associations": [association]}),
            (true, None) => serde_json::json!({"associations": []}),
            (false, _) => serde_json::json!({"association": association}),
        }
    })
}

/// Roles Anywhere, where the script ran before or not.
fn roles_anywhere(ran: bool) -> (String, Receiver<String>) {
    stand_in(move |line| {
        let arn = |rest| format!("arn:aws:rolesanywhere:eu-central-1:123456789012:{rest}");
        let anchor = serde_json::json!({"name": "amp-sidecar", "trustAnchorArn": arn("trust-anchor/5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a")});
        let profile = serde_json::json!({"name": "amp-sidecar", "profileArn": arn("profile/9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40")});
        match line {
            _ if line.starts_with("GET /trustanchors") && ran => {
                serde_json::json!({"trustAnchors": [anchor]})
            }
            _ if line.starts_with("GET /profiles") && ran => {
                serde_json::json!({"profiles": [profile]})
            }
            _ if line.starts_with("GET ") => {
                serde_json::json!({"trustAnchors": [], "profiles": []})
            }
            _ => serde_json::json!({"trustAnchor": anchor, "profile": profile}),
        }
    })
}

/// moto has no Roles Anywhere, so that is a stand-in.
#[test]
fn what_a_certificate_needs_is_made_once_and_updated_by_another_run() {
    let (moto, folder) = (Moto::start(), Folder::new());
    let text = printed(&[&["aws"], &ANYWHERE, &PLACE]);
    let script = folder.write("aws.sh", &text);
    for (ran, methods) in [
        (false, ["POST /trustanchors ", "POST /profiles "]),
        (
            true,
            [
                "PATCH /trustanchor/5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a ",
                "PATCH /profile/9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40 ",
            ],
        ),
    ] {
        let (url, requests) = roles_anywhere(ran);
        let mut bash = moto.command("bash");
        let said = peer(bash.env("AWS_ENDPOINT_URL_ROLESANYWHERE", url).arg(&script));
        for line in [
            "AMP_SIDECAR_CREDENTIALS=roles-anywhere\n",
            "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/amp-sidecar\n",
            "AMP_SIDECAR_TRUST_ANCHOR_ARN=arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a\n",
            "AMP_SIDECAR_PROFILE_ARN=arn:aws:rolesanywhere:eu-central-1:123456789012:profile/9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40\n",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        let requests: Vec<String> = requests.try_iter().collect();
        let writes: Vec<_> = requests
            .iter()
            .filter(|request| !request.starts_with("GET "))
            .collect();
        assert_eq!(writes.len(), 2, "{requests:?}");
        assert!(
            writes[0].starts_with(methods[0]) && writes[1].starts_with(methods[1]),
            "{writes:?}"
        );
        let pem = std::fs::read_to_string(ANYWHERE[3]).unwrap();
        let (_, body) = writes[0].split_once("HTTP/1.1 ").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["source"]["sourceData"]["x509CertificateData"], pem);
        assert!(writes[1].contains(":role/amp-sidecar"), "{writes:?}");
    }
    let role = moto.aws(&["iam", "get-role", "--role-name", "amp-sidecar"]);
    let condition = &role["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Condition"];
    assert_eq!(
        condition["ArnEquals"]["aws:SourceArn"],
        "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a"
    );
    assert_eq!(
        condition["StringEquals"]["aws:PrincipalTag/x509Subject/CN"],
        "amp-sidecar"
    );

    let template = printed(&[&["aws", "--format", "cloudformation"], &ANYWHERE, &PLACE]);
    peer(Command::new("cfn-lint").arg(folder.write("template.yaml", &template)));
    let terraform = printed(&[&["aws", "--format", "terraform"], &ANYWHERE, &PLACE]);
    let parsed = peer(Command::new("hcl2tojson").arg(folder.write("main.tf", &terraform)));
    for part in [
        "aws_rolesanywhere_trust_anchor.amp_sidecar.arn",
        "aws_rolesanywhere_profile",
        "BEGIN CERTIFICATE",
    ] {
        assert!(parsed.contains(part), "{part}: {parsed}");
    }
    for text in [&text, &template, &terraform] {
        assert!(
            text.contains("# kind: Certificate\n")
                && text.contains("#   commonName: \"amp-sidecar\"\n"),
            "{text}"
        );
    }
}

#[test]
fn a_ca_that_is_none_and_a_name_that_no_tag_may_have_are_named() {
    let output = super::run(&[
        &[
            "aws",
            "--via",
            "roles-anywhere",
            "--ca-certificate",
            "/nowhere",
            "--common-name",
            "a (b)",
        ],
        &["--issuer", "https://oidc.example.com"],
        &PLACE,
    ]);
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr);
    for words in [
        "--ca-certificate is",
        "a readable PEM file",
        "--common-name is",
        "which a session tag may have",
        "AWS then trusts the CA",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// moto has no associations, so EKS is a stand-in.
#[test]
fn a_pods_role_is_made_and_associated_and_another_association_is_left_alone() {
    const OURS: &str = "arn:aws:iam::123456789012:role/amp-sidecar";
    const THEIRS: &str = "arn:aws:iam::123456789012:role/other";
    let (moto, folder) = (Moto::start(), Folder::new());
    let text = printed(&[&["aws"], &EKS, &PLACE]);
    let script = folder.write("aws.sh", &text);
    for (associated, created) in [(None, true), (Some(THEIRS), false)] {
        let (url, requests) = eks(associated);
        let output = moto
            .command("bash")
            .env("AWS_ENDPOINT_URL_EKS", url)
            .arg(&script)
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), created, "{words}");
        assert_eq!(
            !words.contains("monitoring:prometheus is associated with"),
            created,
            "{words}"
        );
        let requests: Vec<String> = requests.try_iter().collect();
        let post = requests.iter().find(|request| request.starts_with("POST "));
        assert_eq!(post.is_some(), created, "{requests:?}");
        assert!(
            requests[0].contains("/clusters/emulated/pod-identity-associations?"),
            "{requests:?}"
        );
        if let Some(post) = post {
            for part in [
                r#""namespace": "monitoring""#,
                r#""serviceAccount": "prometheus""#,
                OURS,
            ] {
                assert!(post.contains(part), "{part}: {post}");
            }
        }
    }
    let wanted: Value = serde_json::from_str(&trust_policy(&text)).unwrap();
    let role = moto.aws(&["iam", "get-role", "--role-name", "amp-sidecar"]);
    assert_eq!(role["Role"]["AssumeRolePolicyDocument"], wanted);
    assert_eq!(
        wanted["Statement"][0]["Principal"]["Service"],
        "pods.eks.amazonaws.com"
    );

    let template = printed(&[&["aws", "--format", "cloudformation"], &EKS, &PLACE]);
    peer(Command::new("cfn-lint").arg(folder.write("template.yaml", &template)));
    let terraform = printed(&[&["aws", "--format", "terraform"], &EKS, &PLACE]);
    let parsed = peer(Command::new("hcl2tojson").arg(folder.write("main.tf", &terraform)));
    assert!(
        parsed.contains("aws_eks_pod_identity_association") && !parsed.contains("openid"),
        "{parsed}"
    );
}

/// Parsed, not applied: neither terraform nor its provider is in a package registry.
#[test]
fn terraform_parses_and_says_what_the_script_says() {
    let arguments: &[&[&str]] = &[&["aws", "--issuer", AKS], &PLACE];
    let folder = Folder::new();
    let text = printed(&[arguments[0], arguments[1], &["--format", "terraform"]]);
    let path = folder.write("main.tf", &text);
    let json = peer(
        Command::new("hcl2tojson")
            .arg("--strip-string-quotes")
            .arg(path),
    );
    let read: Value = serde_json::from_str(&json).unwrap();
    let resources = &read["resource"];
    let find = |kind: &str| {
        let found = resources
            .as_array()
            .unwrap()
            .iter()
            .find_map(|one| one.get(kind));
        found.unwrap_or_else(|| panic!("{kind}: {read:#}"))["amp_sidecar"].clone()
    };
    let provider = find("aws_iam_openid_connect_provider");
    assert_eq!(provider["url"], AKS);
    assert_eq!(provider["client_id_list"][0], "sts.amazonaws.com");
    let (_, rest) = text.split_once("assume_role_policy = jsonencode(").unwrap();
    let policy: Value = serde_json::from_str(rest.split_once("\n  )").unwrap().0).unwrap();
    let of_script: Value = serde_json::from_str(&trust_policy(&printed(arguments))).unwrap();
    assert_eq!(policy, of_script);
}
