//! `amp-sidecar check`: makes every mistake of its table, and expects the mistake with its remedy.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use amp_sidecar::check::{self, Report, Step, StepState};
use amp_sidecar::clock::Clock;
use amp_sidecar::config::{Config, Environment};
use amp_sidecar::remedies::{self, Remedy};
use emulator::anywhere::{AnywhereConfig, AnywhereRefusal, Directory, LeafKey, LeafSpec};
use emulator::container::Platform;
use emulator::credentials_file::{GivenKeys, PROFILE};
use emulator::entra::{EntraConfig, TokenVersion};
use emulator::fault::FaultKind;
use emulator::issuer::BrokenToken;
use emulator::machine::{AzureVm, GoogleVm, Machine};
use emulator::tls::Presented;
use emulator::world::{Ports, Target, WorldConfig};
use futures_util::stream::{self, StreamExt};
use testbench::peers::free_ports;

use crate::arranged::Arranged;
use crate::leak_check::{self, World};
use crate::situations;

type Case = Arranged<Finding>;

/// What `check` is to find.
struct Finding {
    name: &'static str,
    prometheus: Option<&'static str>,
    state: StepState,
}

fn case(name: &'static str) -> Case {
    Case::expecting(Finding {
        name,
        prometheus: None,
        state: StepState::Broken,
    })
}

impl Case {
    fn entra(mut self, change: impl FnOnce(&mut EntraConfig)) -> Self {
        let mut entra = EntraConfig::new(TokenVersion::V2);
        change(&mut entra);
        self.world = WorldConfig::through_entra(entra);
        self
    }

    fn azure(mut self) -> Self {
        self.world = WorldConfig::on_azure(TokenVersion::V1);
        self
    }

    fn google(mut self, change: impl FnOnce(&mut GoogleVm)) -> Self {
        let mut vm = GoogleVm::default();
        change(&mut vm);
        self.world = WorldConfig {
            machine: Some(Machine::Google(vm)),
            ..WorldConfig::at_google()
        };
        self
    }

    fn anywhere(mut self, change: impl FnOnce(&mut LeafSpec)) -> Self {
        let mut anywhere = AnywhereConfig::default();
        change(&mut anywhere.leaf);
        self.world = WorldConfig::through_roles_anywhere(anywhere);
        self
    }

    /// Another certificate than the one that the role trusts.
    fn replaced(self, change: fn(&mut LeafSpec)) -> Self {
        self.anywhere(|_| {})
            .arrange(move |world| drop(world.anywhere().unwrap().replace(change).unwrap()))
    }

    fn directory(self, change: fn(&mut Directory)) -> Self {
        self.anywhere(|_| {})
            .arrange(move |world| world.anywhere().unwrap().change(change))
    }

    /// The response of STS to AssumeRoleWithWebIdentity.
    fn sts_says(self, status: u16, code: &str) -> Self {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>Error communicating with your identity provider, please try again</Message></Error></ErrorResponse>"
        );
        self.on_sts(FaultKind::answer(status, body))
    }

    fn set(self, flag: &'static str, value: &str) -> Self {
        let value = value.to_owned();
        self.settings(move |_| vec![(flag, value.clone())])
    }

    fn prometheus(mut self, remote_write: &'static str) -> Self {
        self.expected.prometheus = Some(remote_write);
        self
    }

    fn warns(mut self) -> Self {
        self.expected.state = StepState::Warning;
        self
    }
}

/// The report of `check` in a world.
pub async fn run(world: &World, more: &[(&str, String)], prometheus: Option<&str>) -> Report {
    let env: HashMap<_, _> = world.environment().into_iter().collect();
    let variable = |name: &str| env.get(name).cloned();
    let around = Environment::of(&variable);
    let flag = |flag: &str| {
        let given = more.iter().find(|(name, _)| *name == flag);
        given.map(|(_, value)| value.clone())
    };
    let report = match Config::read(&|setting| flag(setting.flag), &around) {
        Ok(config) => {
            let file = world.folder().join("prometheus.yml");
            if let Some(text) = prometheus {
                std::fs::write(&file, text).unwrap();
            }
            let file = prometheus.map(|_| file.as_path());
            check::run(&config, &Clock::system(), file).await
        }
        Err(rejected) => check::invalid(&rejected),
    };
    leak_check::show(&format!(
        "{}\n{}\n{report:?}",
        report.text(false),
        report.json()
    ));
    report
}

const ACCOUNT: &str = "123456789012";
const OTHER_GUID: &str = "00000000-1111-4222-8333-444444444444";

fn container(name: &'static str) -> Case {
    case(name).world(|world| *world = WorldConfig::in_container(Platform::PodIdentity))
}

fn file(name: &'static str) -> Case {
    case(name).world(|world| *world = WorldConfig::with_keys(GivenKeys::File))
}

fn write_profile(world: &World, options: &str) {
    std::fs::write(
        world.credentials_file(),
        format!("[{PROFILE}]\n{options}\n"),
    )
    .unwrap();
}

fn cases(issuer_path: &str) -> Vec<Case> {
    let [place] = free_ports().unwrap();
    let port = place.port();
    let without_slash = format!("127.0.0.1:{port}{}", issuer_path.trim_end_matches('/'));
    let policy = |principal: &str, key: &str, sub: &str, aud: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"Federated": "arn:aws:iam::{ACCOUNT}:oidc-provider/{principal}"}},
               "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {{"StringEquals": {{"{key}:sub": "{sub}", "{key}:aud": "{aud}"}}}}}}]}}"#
        )
    };
    let pod = "system:serviceaccount:monitoring:prometheus";
    let role = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
    vec![
        case("setting").set("region", "Frankfurt"),
        case("write-url-slash")
            .settings(|world| vec![("remote-write-url", format!("{}/", world.amp_url()))]),
        case("token-pasted").settings(|world| {
            let token = std::fs::read_to_string(world.token_file()).unwrap();
            vec![("web-identity-token-file", token)]
        }),
        case("entra-scope").entra(|_| {}).set("entra-scope", "api://amp"),
        case("token-missing").token(BrokenToken::Missing),
        case("token-folder").settings(|world| {
            let folder = world.token_file().parent().unwrap().display().to_string();
            vec![("web-identity-token-file", folder)]
        }),
        case("token-empty").token(BrokenToken::Empty),
        case("token-malformed").token(BrokenToken::Truncated),
        case("token-not-renewed").warns().settings(|world| {
            let copy = world.folder().join("copy");
            std::fs::copy(world.token_file(), &copy).unwrap();
            vec![("web-identity-token-file", copy.display().to_string())]
        }),
        case("token-expired").token(BrokenToken::Expired),
        case("token-early").token(BrokenToken::NotYetValid),
        case("token-no-audience").token(BrokenToken::NoAudience),
        case("token-audience").world(|world| world.token.audience = vec!["grafana".into()]),
        case("provider-audience").world(|world| world.client_ids = vec!["other".into()]),
        case("issuer-letter").token(BrokenToken::WrongIssuer),
        case("issuer-unreachable").on(Target::Issuer, FaultKind::answer(503, "")),
        case("issuer-silent").sts_says(400, "IDPCommunicationError"),
        case("issuer-internal").settings(|world| {
            // {"iss":"https://kubernetes.default.svc.cluster.local","sub":"s","aud":["sts.amazonaws.com"]}
            let claims = "eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMuY2x1c3Rlci5sb2NhbCIsInN1YiI6InMiLCJhdWQiOlsic3RzLmFtYXpvbmF3cy5jb20iXX0";
            let file = world.folder().join("internal");
            std::fs::write(&file, format!("eyJhbGciOiJSUzI1NiJ9.{claims}.c2ln")).unwrap();
            vec![("web-identity-token-file", file.display().to_string())]
        }),
        case("not-a-file").settings(|world| {
            let pipe = world.folder().join("pipe");
            assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            vec![("web-identity-token-file", pipe.display().to_string())]
        }),
        container("container-token-missing").set("container-authorization-token-file", "/does/not/exist"),
        container("container-token-characters").settings(|world| {
            let file = world.folder().join("with-a-line-break");
            std::fs::write(&file, "planted\n").unwrap();
            vec![("container-authorization-token-file", file.display().to_string())]
        }),
        container("container-token-refused").token(BrokenToken::Expired),
        container("pod-identity-trust").world(|world| {
            let policy = world.trust_policy.as_ref().unwrap();
            world.trust_policy = Some(policy.replace(r#", "sts:TagSession""#, ""));
        }),
        container("pod-identity-association").token(BrokenToken::WrongSubject),
        container("container-refused").settings(|world| {
            let url = format!("{}/v2/credentials/of-another-task", world.container_url());
            vec![("container-credentials-full-uri", url)]
        }),
        container("container-busy").on(Target::Container, FaultKind::answer(503, "")),
        container("container-unreachable").set("container-credentials-full-uri", "http://127.0.0.1:9/"),
        container("container-expired").on(
            Target::Container,
            FaultKind::answer(200, r#"{"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "planted", "Token": "planted", "Expiration": "2001-01-01T00:00:00Z"}"#),
        ),
        container("container-foreign").on(Target::Container, FaultKind::answer(200, "<html>")),
        file("credentials-file-missing").set("shared-credentials-file", "/does/not/exist"),
        file("credentials-file-syntax").arrange(|world| write_profile(world, "planted")),
        file("credentials-file-profile").set("profile", "other"),
        file("credentials-file-keys").arrange(|world| write_profile(world, "aws_access_key_id = AKIA")),
        file("credentials-file-program").arrange(|world| write_profile(world, "credential_process = planted")),
        file("credentials-file-role").arrange(|world| write_profile(world, "role_arn = planted")),
        file("credentials-file-web-identity").arrange(|world| write_profile(world, "web_identity_token_file = planted")),
        file("credentials-file-sso").arrange(|world| write_profile(world, "sso_session = planted")),
        case("static-keys").world(|world| *world = WorldConfig::with_keys(GivenKeys::Static)).warns(),
        case("key-unknown").token(BrokenToken::UnknownKey),
        case("provider-missing").set("role-arn", "arn:aws:iam::999999999999:role/amp-sidecar-writer"),
        case("provider-slash").world(|world| {
            let [place] = free_ports().unwrap();
            let port = place.port();
            let path = issuer_path.trim_end_matches('/');
            world.provider_url = Some(format!("http://127.0.0.1:{port}{path}"));
            world.ports = Ports { issuer: port, ..Ports::default() };
        }),
        case("name-unresolved").set("sts-endpoint", "https://sts.nowhere.invalid/"),
        case("connection-refused").set("sts-endpoint", "http://127.0.0.1:9/"),
        case("connection-silent")
            .world(|world| world.sts_https = true)
            .on(Target::Sts, FaultKind::StallOnAccept),
        case("tls-authority").arrange(|world| world.present(Presented::UnknownAuthority)),
        case("tls-name").arrange(|world| world.present(Presented::WrongName)),
        case("tls-expired").arrange(|world| world.present(Presented::Expired)),
        case("tls-foreign")
            .settings(|world| vec![("sts-endpoint", world.sts_url().replace("http://", "https://"))]),
        case("proxy").settings(|_| {
            vec![
                ("sts-endpoint", "https://sts.us-east-1.amazonaws.com/".into()),
                // Nobody listens there, so the test needs no network.
                ("https-proxy", "http://127.0.0.1:9".into()),
            ]
        }),
        case("clock")
            .warns()
            .world(|world| world.sts_https = true)
            .arrange(|world| world.clock().set_offset_seconds(600)),
        case("region-disabled").sts_says(403, "RegionDisabledException"),
        case("role-missing").set("role-arn", &role("amp-sidecar-writr")),
        case("trust-subject").token(BrokenToken::WrongSubject),
        case("trust-audience")
            .world(|world| world.trust_policy = Some(policy("${ISSUER}", "${ISSUER}", pod, "other"))),
        case("trust-issuer").world(|world| {
            let key = &without_slash;
            world.trust_policy = Some(policy("${ISSUER}", key, pod, "sts.amazonaws.com"));
            world.ports = Ports { issuer: port, ..Ports::default() };
        }),
        case("session-too-long").world(|world| world.role_max_session = Duration::from_secs(900)),
        case("sts-trouble").sts_says(503, "ServiceUnavailable"),
        case("sts-refusal").sts_says(400, "PackedPolicyTooLarge"),
        case("sts-foreign").on_sts(FaultKind::WrongXml),
        case("entra-foreign").entra(|_| {}).on(Target::Entra, FaultKind::html(200, "Please sign in")),
        case("entra-refusal").entra(|_| {}).on(
            Target::Entra,
            FaultKind::answer(400, r#"{"error": "invalid_request", "error_description": "AADSTS1: new", "error_codes": [1]}"#),
        ),
        case("entra_AADSTS700213").entra(|_| {}).token(BrokenToken::WrongSubject),
        case("entra_AADSTS700212").entra(|_| {}).token(BrokenToken::WrongAudience),
        case("entra_AADSTS700211").entra(|_| {}).token(BrokenToken::WrongIssuer),
        case("entra_AADSTS700024").entra(|_| {}).token(BrokenToken::Expired),
        case("entra_AADSTS700027").entra(|_| {}).token(BrokenToken::UnknownKey),
        case("entra_AADSTS70025")
            .entra(|entra| entra.applications[0].federated_credentials.clear()),
        case("entra_AADSTS7000229")
            .entra(|entra| entra.applications[0].service_principal = None),
        case("entra_AADSTS700016").entra(|_| {}).set("azure-client-id", OTHER_GUID),
        case("entra_AADSTS90002").entra(|_| {}).set("azure-tenant-id", OTHER_GUID),
        case("entra_AADSTS500011").entra(|_| {}).set("entra-scope", "api://other/.default"),
        case("entra_AADSTS50166")
            .entra(|_| {})
            .on(Target::Issuer, FaultKind::answer(503, "")),
        case("imds-no-identity").azure().set("azure-client-id", OTHER_GUID),
        case("imds-several-identities").azure().world(|world| {
            let entra = world.entra.as_ref().unwrap();
            let all = entra.applications.iter().map(|one| one.client_id.clone());
            let identities = all.collect();
            world.machine = Some(Machine::Azure(AzureVm { identities }));
        }),
        case("entra_AADSTS500011").azure().set("token-audience", "api://other"),
        case("gce-no-service-account").google(|vm| vm.service_account = None),
        case("gce-denied").google(|vm| {
            let account = vm.service_account.as_mut().unwrap();
            account.may_give_tokens = false;
        }),
        case("metadata-silent").google(|_| {}).set("gce-metadata-host", "127.0.0.1:9"),
        case("metadata-foreign")
            .google(|_| {})
            .on(Target::Metadata, FaultKind::html(200, "Please sign in")),
        case("metadata-trouble").azure().on(Target::Metadata, FaultKind::answer(404, "")),
        case("metadata-refusal").azure().on(
            Target::Metadata,
            FaultKind::answer(400, r#"{"error": "unknown", "error_description": "new"}"#),
        ),
        case("trust-subject").google(|_| {}).world(|world| {
            let policy = policy("x", "accounts.google.com", "1", "2");
            let principal = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/x");
            world.trust_policy = Some(policy.replace(&principal, "accounts.google.com"));
        }),
        case("certificate-missing").anywhere(|_| {}).set("roles-anywhere-private-key", "/nowhere/tls.key"),
        case("certificate-malformed").anywhere(|_| {}).settings(|world| {
            let key = world.anywhere().unwrap().key_file().display().to_string();
            vec![("roles-anywhere-certificate", key)]
        }),
        case("private-key-unusable").replaced(|leaf| leaf.key = LeafKey::EcdsaP384),
        case("private-key-mismatch").anywhere(|_| {}).arrange(|world| {
            let anywhere = world.anywhere().unwrap();
            let of = || anywhere.issue(&LeafSpec::default()).unwrap();
            anywhere.publish(&of().chain, &of().key).unwrap();
        }),
        case("certificate-unfit").replaced(|leaf| leaf.may_sign = false),
        case("certificate-expired").replaced(|leaf| {
            leaf.valid_since = time::Duration::days(3);
            leaf.life = time::Duration::days(-1);
        }),
        case("certificate-ends")
            .replaced(|leaf| {
                leaf.valid_since = time::Duration::days(80);
                leaf.life = time::Duration::days(10);
            })
            .warns(),
        case("certificate-untrusted").replaced(|leaf| leaf.stranger = true),
        case("certificate-insufficient").replaced(|leaf| leaf.is_constrained = false),
        case("roles-anywhere-trust").replaced(|leaf| leaf.common_name = "another".to_owned()),
        case("roles-anywhere-profile").directory(|directory| directory.role_arns.clear()),
        case("roles-anywhere-disabled").directory(|directory| directory.anchor_enabled = false),
        case("roles-anywhere-missing").anywhere(|_| {}).settings(|world| {
            let (own, _) = world.anywhere().unwrap().profile_arn().rsplit_once('/').map(|(own, id)| (own.to_owned(), id.to_owned())).unwrap();
            vec![("profile-arn", format!("{own}/{OTHER_GUID}"))]
        }),
        case("roles-anywhere-session-name").anywhere(|_| {}).set("role-session-name", "me"),
        case("roles-anywhere-tags").replaced(|leaf| leaf.common_name = "amp (sidecar)".to_owned()),
        case("roles-anywhere-refused")
            .anywhere(|_| {})
            .on(Target::RolesAnywhere, AnywhereRefusal::InvalidSignature.fault()),
        case("roles-anywhere-trouble")
            .anywhere(|_| {})
            .on(Target::RolesAnywhere, AnywhereRefusal::Throttled.fault()),
        case("roles-anywhere-foreign")
            .anywhere(|_| {})
            .on(Target::RolesAnywhere, FaultKind::html(200, "Please sign in")),
        case("hop-trust").world(|world| {
            *world = world.clone().two_hops("tenant-42");
            let other = world.role_name.clone();
            world.chain[0].trust_policy = Some(format!(
                r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::333333333333:role/{other}"}}, "Action": "sts:AssumeRole"}}]}}"#
            ));
        }),
        case("hop-permission").world(|world| {
            *world = world.clone().two_hops("tenant-42");
            world.chain[1].permitted = false;
        }),
        case("hop-external-id")
            .world(|world| *world = world.clone().two_hops("tenant-42"))
            .settings(|world| {
                let chain = world.chain();
                vec![("assume-role", format!("{} {}", chain[0].arn, chain[1].arn))]
            }),
        case("hop-missing")
            .world(|world| *world = world.clone().two_hops("tenant-42"))
            .set("assume-role", "arn:aws:iam::222222222222:role/nobody"),
        case("workspace-unknown").settings(|world| {
            let other = format!("ws-{OTHER_GUID}");
            let url = world.amp_url().replace(world.workspace_id(), &other);
            vec![("remote-write-url", url), ("workspace-id", other)]
        }),
        case("region-wrong").set("region", "eu-west-1"),
        case("amp-credentials").on(
            Target::Amp,
            FaultKind::answer(403, r#"{"message": "The security token included in the request is invalid"}"#),
        ),
        case("amp-failing").on(Target::Amp, FaultKind::answer(500, "")),
        case("unexpected").on(
            Target::Amp,
            FaultKind::Redirect { status: 302, location: "https://127.0.0.1:9/".into() },
        ),
        case("prometheus-file").prometheus("global: {}\n"),
        case("prometheus-direct").prometheus(
            "remote_write:\n  - url: https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write\n    sigv4: {region: eu-central-1}\n",
        ),
        case("prometheus-elsewhere")
            .prometheus("remote_write: [{url: 'http://user:planted@mimir:8005/api/v1/push'}]\n"),
        case("prometheus-url").prometheus("remote_write: [{url: '127.0.0.1:8005/api/v1/write'}]\n"),
        case("prometheus-scheme")
            .prometheus("remote_write: [{url: 'https://localhost:8005/api/v1/write'}]\n"),
        case("prometheus-port")
            .prometheus("remote_write: [{url: 'http://localhost:8006/api/v1/write'}]\n"),
        case("prometheus-proxy").prometheus(
            "remote_write: [{url: 'http://localhost:8005/api/v1/write', proxy_url: 'http://user:planted@proxy:3128'}]\n",
        ),
        case("prometheus-headers").prometheus(
            "remote_write: [{url: 'http://localhost:8005/api/v1/write', headers: {Origin: 'https://planted'}}]\n",
        ),
        case("prometheus-age").warns().prometheus(
            "remote_write: [{url: 'http://localhost:8005/api/v1/write', queue_config: {sample_age_limit: 5m}}]\n",
        ),
        case("prometheus-needless").warns().prometheus(
            "remote_write: [{url: 'http://localhost:8005/api/v1/write', basic_auth: {username: user, password: planted}}]\n",
        ),
        case("prometheus-twice").warns().prometheus(
            "remote_write:\n  - &a {url: 'http://localhost:8005/api/v1/write'}\n  - {<<: *a, name: b}\n",
        ),
        case("prometheus-path").prometheus("remote_write: [{url: 'http://localhost:8005/api/v1/push'}]\n"),
        case("prometheus-sigv4").prometheus(
            "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    sigv4:\n      region: eu-central-1\n",
        ),
        case("prometheus-timeout")
            .warns()
            .prometheus("remote_write: [{url: 'http://127.0.0.1:8005/api/v1/write', remote_timeout: 20s}]\n"),
        case("prometheus-queue").warns().prometheus(
            "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n    queue_config: {capacity: 1000, max_samples_per_send: 5000}\n",
        ),
    ]
}

pub fn named<'a>(report: &'a Report, name: &str) -> Option<&'a Step> {
    let mut steps = report.steps.iter();
    steps.find(|step| step.outcome.remedies.iter().any(|remedy| remedy.id == name))
}

/// The deviation of the report on a mistake, if any.
async fn judged(case: &Case) -> Result<(), String> {
    let (world, settings) = case.start().await;
    let case = &case.expected;
    let report = run(&world, &settings, case.prometheus).await;
    let text = report.text(false);
    let fail = |what: &str| Err(format!("{}: {what}\n{text}", case.name));
    let mut rows = remedies::page::mistakes().chain(remedies::page::incidents());
    let Some(row) = rows.find(|row| row.id == case.name) else {
        return fail("it is no row of the table");
    };
    // The symptom of an incident is its name in the log.
    let shows =
        |step: &&Step| row.symptom.starts_with('`') || step.outcome.evidence.contains(row.symptom);
    let about = report.steps.iter().filter(|step| {
        step.outcome
            .remedies
            .iter()
            .any(|remedy| remedy.id == row.id)
    });
    let seen = about.clone().find(shows);
    let Some(step) = seen else {
        return fail(match about.count() {
            0 => "it was not named",
            _ => "the evidence is not what the table says",
        });
    };
    if step.outcome.state != case.state || report.is_whole() != (case.state == StepState::Warning) {
        return fail("the state is another");
    }
    if !text.contains(row.remedy) {
        return fail("the remedy is not printed");
    }
    if text.contains("planted") {
        return fail("it shows a password");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mistake_is_reported_with_its_remedy() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    let issuer_path = world.issuer_url().split_once("://").unwrap().1;
    let issuer_path = &issuer_path[issuer_path.find('/').unwrap()..];
    let cases = cases(issuer_path);
    // A few at a time: each world has its own deadlines, also on a busy machine.
    let judgements: Vec<_> = stream::iter(cases.iter().map(judged))
        .buffer_unordered(6)
        .collect()
        .await;
    let wrong: Vec<String> = judgements.into_iter().filter_map(Result::err).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );

    // Each row has its mistake here; the emulator has some of Entra's errors.
    let made: HashSet<&str> = cases
        .iter()
        .map(|case| case.expected.name)
        .chain([
            "token-denied",
            "certificate-denied",
            "credentials-file-denied",
        ])
        .chain(situations::rows())
        .collect();
    let own = |row: &Remedy| !row.id.starts_with("entra_AADSTS");
    let missed: Vec<Remedy> = remedies::page::mistakes()
        .filter(own)
        .filter(|row| !made.contains(row.id))
        .collect();
    assert!(missed.is_empty(), "rows without a test: {missed:?}");
}

#[tokio::test]
async fn nothing_is_found_where_nothing_is_wrong() {
    let entra = WorldConfig::through_entra(EntraConfig::new(TokenVersion::V1));
    let anywhere = WorldConfig::through_roles_anywhere(AnywhereConfig {
        https: true,
        ..AnywhereConfig::default()
    });
    let remote_write = "remote_write: [{url: 'http://127.0.0.1:8005/api/v1/remote_write'}]\n";
    for mut config in [
        WorldConfig::default(),
        WorldConfig::default().two_hops("tenant-42"),
        entra.two_hops("tenant-42"),
        WorldConfig::on_azure(TokenVersion::V2),
        WorldConfig::at_google().two_hops("tenant-42"),
        WorldConfig::in_container(Platform::PodIdentity),
        WorldConfig::in_container(Platform::Ecs).two_hops("tenant-42"),
        WorldConfig::with_keys(GivenKeys::File),
        anywhere.clone(),
        anywhere.two_hops("tenant-42"),
    ] {
        config.sts_https = true;
        let world = World::start(config).await.unwrap();
        let report = run(&world, &[], Some(remote_write)).await;
        let fine = report
            .steps
            .iter()
            .all(|step| step.outcome.state == StepState::Ok);
        assert!(fine, "{}", report.text(false));
        assert_eq!(world.store().stats().samples, 0, "something was written");
    }
}

/// Plain HTTP proves no time, so a wrong clock is not found, and the result says so.
#[tokio::test]
async fn a_clock_that_was_not_checked_is_not_passed() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    world.clock().set_offset_seconds(600);
    let report = run(&world, &[], None).await;
    let clock = report.steps.iter().find(|step| step.step == "clock");
    let clock = &clock.unwrap().outcome;
    assert_eq!(clock.state, StepState::Skipped);
    assert_eq!(clock.evidence, "plain HTTP: clock not checked");
    let text = report.text(false);
    assert!(
        text.ends_with("\ndata flows; not checked: clock\n"),
        "{text}"
    );
}

/// One remedy of several steps is printed once, after the result, and does not lead to another command with the same errors.
#[tokio::test]
async fn what_to_do_is_said_once_at_the_end() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    let more = [
        ("region", "Frankfurt".to_owned()),
        ("workspace-id", "my-workspace".to_owned()),
        ("upstream-timeout", "soon".to_owned()),
    ];
    let text = run(&world, &more, None).await.text(false);
    let (steps, after) = text.split_once("\ndata does not flow; failed: 3").unwrap();
    assert_eq!(steps.matches("[see 1]\n").count(), 3, "{text}");
    assert!(!steps.contains("fix: "), "{text}");
    assert_eq!(after.matches("fix: ").count(), 1, "{text}");
    assert!(!text.contains("amp-sidecar config"), "{text}");
}

#[tokio::test]
async fn the_trust_policy_that_is_pasted_lets_the_token_in() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    world.break_token(BrokenToken::WrongSubject).unwrap();
    let report = run(&world, &[], None).await;
    let paste = named(&report, "trust-subject")
        .unwrap()
        .outcome
        .paste
        .clone()
        .unwrap();

    let issuer = world.issuer_url().split_once("://").unwrap().1;
    let config = WorldConfig {
        trust_policy: Some(paste.replace(issuer, "${ISSUER}")),
        ..WorldConfig::default()
    };
    let world = World::start(config).await.unwrap();
    world.break_token(BrokenToken::WrongSubject).unwrap();
    let report = run(&world, &[], None).await;
    assert!(report.is_whole(), "{}", report.text(false));
}

#[tokio::test]
async fn of_several_workspaces_only_the_broken_one_is_named() {
    let config = WorldConfig::default().second_region("eu-west-2");
    let world = World::start(config).await.unwrap();
    let other = &world.others()[0];
    let entry = |name: &str, region: &str, url: &str, role: &str| {
        format!(
            "  - {{name: {name}, region: {region}, remote_write_url: '{url}', role_arn: '{role}'}}\n"
        )
    };
    let file = world.folder().join("config.yml");
    let text = format!(
        "sts_endpoint: {}\nca_bundle: {}\nweb_identity_token_file: {}\nworkspaces:\n{}{}",
        world.sts_url(),
        world.ca_file().display(),
        world.token_file().display(),
        entry("fine", world.region(), world.amp_url(), world.role_arn()),
        // The role of the first may not write to the second.
        entry("denied", other.region(), other.url(), world.role_arn()),
    );
    std::fs::write(&file, text).unwrap();
    let variable = |_: &str| None;
    let around = Environment::of(&variable);
    let flag = |flag: &str| (flag == "config").then(|| file.display().to_string());
    let config = Config::read(&|setting| flag(setting.flag), &around).unwrap();
    let prometheus = world.folder().join("prometheus.yml");
    std::fs::write(
        &prometheus,
        "remote_write:\n  - url: http://127.0.0.1:8005/api/v1/write\n  - url: http://127.0.0.1:8005/workspaces/fine/api/v1/remote_write\n",
    )
    .unwrap();
    let report = check::run(&config, &Clock::system(), Some(&prometheus)).await;
    let broken: Vec<(Option<&str>, &str)> = report
        .steps
        .iter()
        .filter(|step| step.outcome.state == StepState::Broken)
        .map(|step| (step.workspace.as_deref(), step.step.as_str()))
        .collect();
    let text = report.text(false);
    assert_eq!(
        broken,
        [
            (Some("denied"), "empty write"),
            (None, "prometheus remote_write[0]")
        ],
        "{text}"
    );
    assert!(
        text.contains("several workspaces are configured, and it names none"),
        "{text}"
    );
    assert!(text.contains("workspace denied"), "{text}");
    let unwritten = named(&report, "prometheus-elsewhere").unwrap();
    assert_eq!(unwritten.outcome.state, StepState::Warning);
}

fn program(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amp-sidecar"));
    command
        .env_clear()
        .envs(world.environment())
        .arg("check")
        .args(arguments);
    command
}

async fn output(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    for text in [&output.stdout, &output.stderr] {
        leak_check::show(&String::from_utf8_lossy(text));
    }
    output
}

#[tokio::test]
async fn the_program_ends_with_0_or_1_and_speaks_to_people_or_machines() {
    let world = World::start(WorldConfig {
        sts_https: true,
        ..WorldConfig::default()
    })
    .await
    .unwrap();
    let fine = output(program(&world, &[])).await;
    let text = String::from_utf8(fine.stdout).unwrap();
    assert_eq!(fine.status.code(), Some(0), "{text}");
    assert!(
        text.ends_with("all steps passed\n") && !text.contains('\u{1b}'),
        "{text}"
    );

    world.break_token(BrokenToken::Expired).unwrap();
    let broken = output(program(&world, &["--json"])).await;
    assert_eq!(broken.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!(json["ok"], false);
    let token = json["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["step"] == "token")
        .unwrap();
    assert_eq!(
        (&token["state"], &token["remedies"][0]["id"]),
        (&"broken".into(), &"token-expired".into())
    );

    let invalid = output(program(&world, &["--region", "Frankfurt"])).await;
    assert_eq!(invalid.status.code(), Some(1));
    assert!(
        String::from_utf8(invalid.stdout)
            .unwrap()
            .contains("--region")
    );
}

#[tokio::test]
async fn colours_are_for_terminals_that_want_them() {
    let world = World::start(WorldConfig {
        sts_https: true,
        ..WorldConfig::default()
    })
    .await
    .unwrap();
    for (no_colour, coloured) in [("", true), ("1", false)] {
        let mut command = Command::new("script");
        let program = format!("{} check", env!("CARGO_BIN_EXE_amp-sidecar"));
        command
            .env_clear()
            .envs(world.environment())
            .env("PATH", "/usr/bin:/bin")
            .env("NO_COLOR", no_colour)
            .args(["-qec", &program, "/dev/null"])
            .stdin(Stdio::null());
        let output = output(command).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("all steps passed"), "{text}");
        assert_eq!(text.contains("\u{1b}[32m"), coloured, "{text}");
    }
}

#[tokio::test]
async fn an_unreadable_token_is_reported_with_its_remedy() {
    let world = World::start(WorldConfig::default()).await.unwrap();
    // Other users may not be able to enter the build folder.
    let folder = tempfile::tempdir().unwrap();
    let readable = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    readable(folder.path(), 0o755);
    let program = folder.path().join("amp-sidecar");
    std::fs::copy(env!("CARGO_BIN_EXE_amp-sidecar"), &program).unwrap();
    let copied = |name: &str, from: &std::path::Path| {
        let to = folder.path().join(name);
        std::fs::copy(from, &to).unwrap();
        to
    };
    let ca = copied("ca.pem", world.ca_file());
    readable(&ca, 0o644);
    let token = copied("token", &world.token_file());
    let root = rustix::process::geteuid().is_root();
    readable(&token, if root { 0o600 } else { 0 });
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid",
                "65532",
                "--regid",
                "65532",
                "--clear-groups",
                "--",
            ])
            .arg(&program);
        command
    } else {
        Command::new(&program)
    };
    command
        .env_clear()
        .envs(world.environment())
        .env("PATH", "/usr/bin:/bin")
        .env("AWS_CA_BUNDLE", &ca)
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", &token)
        .arg("check");
    let output = output(command).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let row = remedies::first_hour::TOKEN_DENIED;
    assert!(
        text.contains(row.symptom) && text.contains(row.remedy),
        "{text}"
    );
}
