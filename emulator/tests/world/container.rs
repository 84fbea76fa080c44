//! Credentials that do not come from STS: the agents of EKS and ECS, a file that is rotated.

use std::fs;
use std::time::Duration;

use emulator::container::Platform;
use emulator::credentials_file::GivenKeys;
use emulator::issuer::{BrokenToken, TokenSpec};
use emulator::world::{World, WorldConfig};
use serde_json::json;

use crate::client::{Answer, End, address, say, whole};

async fn get(world: &World, path: &str, authorization: Option<&str>) -> Answer {
    let to = address(world.container_url());
    let authorization = authorization.map(|token| format!("authorization: {token}\r\n"));
    let text = format!(
        "GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{}\r\n",
        authorization.unwrap_or_default()
    );
    let received = say(to, &text, Duration::from_secs(20)).await;
    assert_eq!(received.end, End::Closed);
    whole(&received.bytes)
}

async fn pod_identity(world: &World) -> Answer {
    let token = fs::read_to_string(world.token_file()).unwrap_or_default();
    get(world, "/v1/credentials", Some(&token)).await
}

#[tokio::test]
async fn a_pod_gets_credentials_of_its_associated_role() {
    let config = WorldConfig::in_container(Platform::PodIdentity);
    let world = World::start(config).await.expect("a world");
    let answer = pod_identity(&world).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json"))
    );
    let granted = answer.json();
    let key = granted["AccessKeyId"].as_str().expect("a key");
    let session = world.sessions().find(key).expect("a session");
    assert_eq!(session.role_arn, world.role_arn());
    assert_eq!(granted["Token"], json!(session.session_token));
    assert_eq!(granted["AccountId"], json!(session.account));
    assert!(
        granted["Expiration"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
}

#[tokio::test]
async fn a_pod_is_refused_in_the_words_of_the_agent_or_of_eks() {
    let config = WorldConfig::in_container(Platform::PodIdentity);
    let world = World::start(config.clone()).await.expect("a world");
    let none = get(&world, "/v1/credentials", None).await;
    assert_eq!(
        (none.status, none.body.as_str()),
        (400, "Service account token cannot be empty\n")
    );
    let torn = get(&world, "/v1/credentials", Some("a.b")).await;
    assert!(
        torn.body
            .starts_with("Service account token cannot be parsed:"),
        "{}",
        torn.body
    );
    for (how, status, words) in [
        (
            BrokenToken::Expired,
            400,
            "token has invalid claims: token is expired",
        ),
        (BrokenToken::BadSignature, 400, "(InvalidTokenException): "),
        (BrokenToken::WrongAudience, 400, "(InvalidTokenException): "),
        (BrokenToken::WrongIssuer, 400, "(InvalidTokenException): "),
        (
            BrokenToken::WrongSubject,
            404,
            "(ResourceNotFoundException): ",
        ),
    ] {
        world.break_token(how).expect("written");
        let answer = pod_identity(&world).await;
        assert_eq!(answer.status, status, "{how:?}");
        assert!(answer.body.contains(words), "{how:?}: {}", answer.body);
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    for trust in [
        r#"{"Statement": {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": "sts:AssumeRole"}}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringEquals": {"aws:RequestTag/kubernetes-namespace": "another"}}}}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}}"#,
    ] {
        let config = WorldConfig {
            trust_policy: Some(trust.to_owned()),
            ..config.clone()
        };
        let world = World::start(config).await.expect("a world");
        let answer = pod_identity(&world).await;
        assert_eq!(answer.status, 400);
        let words = "(AccessDeniedException): Unauthorized Exception! EKS does not have permissions to assume the associated role., fault: client\n";
        assert!(answer.body.ends_with(words), "{}", answer.body);
    }
    let spec = TokenSpec {
        pod: "another-pod".to_owned(),
        ..config.token
    };
    let of_another_pod = world.issuer().mint(&spec);
    let answer = get(&world, "/v1/credentials", Some(&of_another_pod)).await;
    assert_eq!(answer.status, 200, "the service account counts");
}

#[tokio::test]
async fn a_task_is_known_by_its_id() {
    let config = WorldConfig::in_container(Platform::Ecs);
    let world = World::start(config).await.expect("a world");
    let url = world.environment().into_iter();
    let url = url
        .into_iter()
        .find(|(name, _)| *name == "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let (_, url) = url.expect("a URL");
    let path = url.strip_prefix(world.container_url()).expect("a path");
    let granted = get(&world, path, None).await.json();
    assert_eq!(granted["RoleArn"], json!(world.role_arn()));
    let other = get(&world, "/v2/credentials/another", None).await;
    assert_eq!(
        (other.status, other.json()["code"].clone()),
        (400, json!("InvalidIdInRequest"))
    );
    assert_eq!(get(&world, "/", None).await.status, 404);
}

#[tokio::test]
async fn a_credentials_file_is_replaced_with_keys_of_a_new_session() {
    let world = World::start(WorldConfig::with_keys(GivenKeys::File))
        .await
        .expect("a world");
    let key = || {
        let text = fs::read_to_string(world.credentials_file()).expect("a file");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("aws_access_key_id = "));
        line.expect("a key").to_owned()
    };
    let first = key();
    world.rotate_credentials_file().expect("written");
    assert_ne!(key(), first);
    for key in [key(), first] {
        let session = world.sessions().find(&key).expect("a session");
        assert_eq!(session.role_arn, world.role_arn());
    }
}
