//! Situations that people get into, made on purpose: each is answered by the same cause and fix in log, `/readyz`, status page, the response to the
//! sender, and `check`.

use std::time::Duration;

use amp_sidecar::check::StepState;
use emulator::fault::{Fault, FaultKind};
use emulator::iam::{Denial, PolicyKind};
use emulator::issuer::BrokenToken;
use emulator::sts::StsRefusal;
use emulator::tls::Presented;
use emulator::world::{Target, WorldConfig};
use serde_json::Value;

use crate::arranged::Arranged;
use crate::bodies;
use crate::check::{named, run};
use crate::leak_check::{self, World};
use crate::rig::{Rig, V1, text};

/// What stops the data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// There are no credentials.
    Credentials,
    /// There are, but AMP or something before it refuses.
    Batches,
}

type Situation = Arranged<Answers>;

struct Answers {
    /// The row of the table that `check` names.
    row: &'static str,
    stops: Stops,
    /// What every place says, of cause and fix.
    says: Vec<String>,
    /// What no place may say.
    never: Option<&'static str>,
}

fn situation(row: &'static str, stops: Stops, says: &[&str]) -> Situation {
    Situation::expecting(Answers {
        row,
        stops,
        says: says.iter().map(|words| (*words).to_owned()).collect(),
        never: None,
    })
}

impl Situation {
    /// STS' refusal of the token.
    fn sts(self, refusal: &StsRefusal) -> Self {
        self.on_sts(refusal.fault())
    }

    /// A token with these claims that nobody signed.
    fn issuer(self, iss: &'static str) -> Self {
        self.settings(move |world| {
            use base64::Engine;
            use base64::engine::general_purpose::URL_SAFE_NO_PAD;
            let claims = format!(
                r#"{{"iss":"{iss}","sub":"system:serviceaccount:monitoring:prometheus","aud":["sts.amazonaws.com"]}}"#
            );
            let claims = URL_SAFE_NO_PAD.encode(claims);
            let file = world.folder().join("unsigned");
            std::fs::write(&file, format!("eyJhbGciOiJSUzI1NiJ9.{claims}.c2ln")).unwrap();
            vec![("web-identity-token-file", file.display().to_string())]
        })
    }

    fn never(mut self, words: &'static str) -> Self {
        self.expected.never = Some(words);
        self
    }
}

/// A page or another answer of something in between.
fn in_between(kind: FaultKind) -> FaultKind {
    let FaultKind::Answer {
        status,
        mut headers,
        body,
    } = kind
    else {
        panic!("no answer")
    };
    headers.push(("server".into(), "gatekeeper/7".into()));
    headers.push(("via".into(), "1.1 gw.corp.example".into()));
    FaultKind::Answer {
        status,
        headers,
        body,
    }
}

fn identity() -> Vec<Situation> {
    use Stops::Credentials;
    let denied = |message: &str| StsRefusal::Unauthenticated {
        code: "AccessDenied",
        message: message.to_owned(),
    };
    let unfit = |row, iss: &'static str, why: &str| {
        situation(row, Credentials, &["IAM cannot take the issuer", iss, why])
            .issuer(iss)
            .never("create-open-id-connect-provider")
    };
    vec![
        situation(
            "token-for-api-server",
            Credentials,
            &["audience: sts.amazonaws.com", "do not add"],
        )
        .token(BrokenToken::WrongAudience)
        .never("must list"),
        situation("provider-audience", Credentials, &["must list the token's aud"])
            .world(|world| world.client_ids = vec!["other".into()]),
        situation(
            "subject-default",
            Credentials,
            &["is serviceAccountName missing", "\"system:serviceaccount:monitoring:default\""],
        )
        .token(BrokenToken::DefaultSubject)
        .never("sts:AssumeRoleWithWebIdentity to the OIDC provider"),
        situation(
            "provider-thumbprint",
            Credentials,
            &[
                "doesn't match configured thumbprint",
                "aws iam update-open-id-connect-provider-thumbprint --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/127.0.0.1:",
            ],
        )
        .sts(&StsRefusal::Thumbprint)
        .never("create-open-id-connect-provider"),
        unfit("issuer-unfit", "https://oidc.example.com:6443", "it has the port 6443"),
        unfit("issuer-unfit", "https://10.96.0.1/", "a private address"),
        unfit("issuer-unfit", "http://oidc.example.com/", "it is not https"),
        unfit(
            "issuer-unfit",
            "https://oidc.example.com/.well-known/openid-configuration",
            "the discovery document",
        ),
        unfit("issuer-internal", "https://kubernetes.default.svc", "only inside"),
        situation(
            "deny-endpoint",
            Credentials,
            &["the owner of the VPC endpoint"],
        )
        .sts(&denied("User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: sts:AssumeRoleWithWebIdentity on resource: arn:aws:iam::123456789012:role/r with an explicit deny in a VPC endpoint policy")),
        situation(
            "region-disabled",
            Credentials,
            &["STS is disabled in us-east-1", "enable the region"],
        )
        .sts(&StsRefusal::RegionDisabled("123456789012".into())),
        situation("sts-trouble", Credentials, &["Rate exceeded", "it is temporary"])
            .sts(&StsRefusal::Throttled),
        situation(
            "issuer-unreachable",
            Credentials,
            &["Couldn't retrieve verification key", "within 5 s; it is often temporary"],
        )
        .sts(&StsRefusal::NoVerificationKey),
    ]
}

fn network() -> Vec<Situation> {
    use Stops::Credentials;
    vec![
        situation(
            "name-unresolved",
            Credentials,
            &[
                "sts.eu-sud-1.invalid does not exist",
                "check the region (eu-south-1:",
            ],
        )
        .settings(|_| {
            vec![
                ("sts-endpoint", "https://sts.eu-sud-1.invalid/".into()),
                ("sts-region", "eu-south-1".into()),
            ]
        }),
        situation(
            "tls-authority",
            Credentials,
            &["UnknownIssuer", "add its root certificate to --ca-bundle"],
        )
        .world(|world| world.sts_https = true)
        .arrange(|world| world.present(Presented::UnknownAuthority)),
        situation(
            "answer-swallowed",
            Credentials,
            &["did not answer within 5 s", "something in between swallows"],
        )
        .on(Target::Sts, FaultKind::Hang)
        .never("STS throttles"),
        situation(
            "sts-foreign",
            Credentials,
            &[
                "200 OK",
                "Server: gatekeeper/7, Via: 1.1 gw.corp.example",
                "Please sign in",
                "captive portal",
            ],
        )
        .on(
            Target::Sts,
            in_between(FaultKind::html(200, "Please sign in")),
        ),
        situation(
            "proxy-no-password",
            Credentials,
            &[
                "407",
                "set the proxy's user and password",
                "Server: gatekeeper/7, Via: 1.1 gw.corp.example",
            ],
        )
        .on(Target::Sts, in_between(FaultKind::answer(407, "no"))),
    ]
}

fn at_amp() -> Vec<Situation> {
    use Stops::Batches;
    let denied = |row, denial: Denial, words: &str, who: &str| {
        situation(row, Batches, &[words, who]).arrange(move |world| world.amp().deny(Some(denial)))
    };
    let explicit = |row, by, words: &str, who: &str| {
        denied(row, Denial::explicit(by), words, who).never("the role needs")
    };
    let page = |status, title| in_between(FaultKind::html(status, title));
    let responder = "Server: gatekeeper/7, Via: 1.1 gw.corp.example";
    let mut situations = vec![
        explicit(
            "deny-endpoint",
            PolicyKind::VpcEndpoint,
            "a VPC endpoint policy denies aps:RemoteWrite on arn:aws:aps:",
            "the owner of the VPC endpoint",
        ),
        explicit(
            "deny-organization",
            PolicyKind::ServiceControl,
            "a service control policy denies",
            "the administrators of the AWS organization",
        ),
        explicit(
            "deny-resource-control",
            PolicyKind::ResourceControl,
            "a resource control policy denies",
            "the administrators of the AWS organization",
        ),
        explicit(
            "deny-boundary",
            PolicyKind::PermissionsBoundary,
            "a permissions boundary denies",
            "an administrator of the role's account",
        ),
        explicit(
            "deny-session",
            PolicyKind::Session,
            "a session policy denies",
            "--session-policy",
        ),
        explicit(
            "deny-resource",
            PolicyKind::ResourceBased,
            "a resource-based policy denies",
            "the owner of the resource",
        ),
        explicit(
            "deny-role",
            PolicyKind::IdentityBased,
            "an identity-based policy denies",
            "remove the Deny",
        ),
        denied(
            "deny-endpoint",
            Denial::implicit(PolicyKind::VpcEndpoint),
            "no VPC endpoint policy allows aps:RemoteWrite",
            "the owner of the VPC endpoint",
        ),
        situation(
            "access-denied",
            Batches,
            &[
                "the role needs aps:RemoteWrite on arn:aws:aps:",
                "attach a policy",
            ],
        )
        .world(|world| world.role_may_write = false),
        situation(
            "amp-path",
            Batches,
            &[
                "AMP has nothing at the path /workspaces/ws-12345678-abcd-1234-abcd-123456789012/api/v1/remote_write: Missing Authentication Token",
                "without a slash at its end",
            ],
        )
        .on(
            Target::Amp,
            FaultKind::front_door(
                403,
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            ),
        )
        .never("partition"),
    ];
    for (kind, status) in [
        (page(200, "Please sign in"), "200 OK"),
        (page(400, "Blocked"), "400 Bad Request"),
        (page(403, "Blocked"), "403 Forbidden"),
    ] {
        let says = [status, responder, "captive portal"];
        situations.push(situation("unexpected", Batches, &says).on(Target::Amp, kind));
    }
    let says = ["407 Proxy", responder, "set the proxy's user and password"];
    let asks = situation("proxy-no-password", Batches, &says);
    situations.push(asks.on(Target::Amp, in_between(FaultKind::answer(407, "no"))));
    situations
}

/// The rows that are made here.
pub fn rows() -> impl Iterator<Item = &'static str> {
    let all = [identity(), network(), at_amp()].into_iter().flatten();
    all.map(|situation| situation.expected.row)
        .chain(["issuer-forbidden"])
}

/// The deviation, if any.
async fn judged(situation: &Situation) -> Result<(), String> {
    let (world, settings) = situation.start().await;
    let expected = &situation.expected;
    let report = run(&world, &settings, None).await;
    let fail = |place: &str, what: &str, text: &str| {
        Err(format!("{}, {place}: {what}\n{text}", expected.row))
    };
    let text_of_check = report.text(false);
    let Some(step) = named(&report, expected.row) else {
        return fail("check", "the row is not named", &text_of_check);
    };
    if step.outcome.state != StepState::Broken {
        return fail("check", "the state is another", &text_of_check);
    }

    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(flag, value)| (*flag, value.as_str()))
        .collect();
    let rig = Rig::start_beside(world, &settings).await;
    match expected.stops {
        Stops::Credentials => complaint(&rig).await,
        Stops::Batches => rig.until_ready().await,
    }
    let response = rig
        .post("/api/v1/write", V1, bodies::v1("up", 3).body)
        .await;
    let status = response.status();
    let heard = text(response).await;
    if status != 503 {
        return fail(
            "sender",
            "the status is another",
            &format!("{status} {heard}"),
        );
    }
    let (_, readiness) = rig.admin("/readyz").await;
    let json: Value = serde_json::from_str(&rig.admin("/status.json").await.1).unwrap();
    let about = match expected.stops {
        Stops::Credentials => &json["state"],
        Stops::Batches => json["incidents"]
            .as_array()
            .into_iter()
            .flatten()
            .next()
            .unwrap_or(&Value::Null),
    };
    let words = |fields: [&str; 2]| {
        let found = fields.map(|field| about[field].as_str().unwrap_or_default());
        found.concat()
    };
    let (reason, remedy) = (words(["why", "reason"]), words(["remedy", ""]));
    let page = format!("{reason}; {remedy}");
    // The log's fields are quoted, and quotation marks in them escaped.
    let logged = format!("remedy={remedy:?}");
    if !leak_check::was_shown(&logged) {
        return fail("log", "there is no line with the remedy", &logged);
    }
    for (place, text) in [
        ("check", &text_of_check),
        match expected.stops {
            Stops::Credentials => ("/readyz", &readiness),
            // It names the outcome alone: the page has the rest.
            Stops::Batches => ("page", &page),
        },
        ("sender", &heard),
        ("page", &page),
    ] {
        if let Some(missing) = expected.says.iter().find(|words| !text.contains(*words)) {
            return fail(place, missing, text);
        }
        if let Some(words) = expected.never.filter(|words| text.contains(words)) {
            return fail(place, &format!("it says {words}"), text);
        }
    }
    Ok(())
}

/// Until `/readyz` says that the first exchange has failed.
async fn complaint(rig: &Rig) {
    for _ in 0..400 {
        let (_, text) = rig.admin("/readyz").await;
        if text.contains("no AWS credentials yet") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("no exchange has failed within 10 s");
}

async fn all_are_answered(situations: Vec<Situation>) {
    let mut wrong = Vec::new();
    for situation in &situations {
        wrong.extend(judged(situation).await.err());
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        situations.len(),
        wrong.join("\n\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_identity_is_said_with_its_fix_in_every_place() {
    all_are_answered(identity()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_network_is_said_with_its_fix_in_every_place() {
    all_are_answered(network()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_amp_or_something_before_it_refuses_is_said_with_its_fix_in_every_place() {
    all_are_answered(at_amp()).await;
}

#[tokio::test]
async fn an_issuer_that_shows_its_keys_to_known_clients_only_is_opened_by_a_command() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    let fault = Fault::new(FaultKind::answer(403, "")).on_path("openid/v1/jwks");
    world.faults(Target::Issuer).set([fault]);
    let report = run(&world, &[], None).await;
    let text = report.text(false);
    let step = named(&report, "issuer-forbidden").expect(&text);
    assert_eq!(step.step, "issuer", "{text}");
    let command = "kubectl create clusterrolebinding oidc-public --clusterrole=system:service-account-issuer-discovery --group=system:unauthenticated";
    assert!(text.contains(command), "{text}");
}

#[tokio::test]
async fn a_clock_is_not_said_to_be_right_where_nobody_proved_it() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    world.clock().set_offset_seconds(600);
    let text = run(&world, &[], None).await.text(false);
    assert!(text.contains("plain HTTP: clock not checked"), "{text}");
    assert!(!text.contains("clock is within"), "{text}");
}

#[tokio::test]
async fn no_policy_that_trusts_the_default_service_account_is_ready_to_paste() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    world.break_token(BrokenToken::DefaultSubject).unwrap();
    let report = run(&world, &[], None).await;
    assert!(!report.text(false).contains("ready to paste"));
    world.break_token(BrokenToken::WrongSubject).unwrap();
    let report = run(&world, &[], None).await;
    assert!(report.text(false).contains("ready to paste"));
}
