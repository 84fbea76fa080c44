//! AssumeRole: signed by one role's session, and what it takes to get another's.

use std::time::{Duration, SystemTime};

use emulator::fault::{Fault, FaultKind};
use emulator::sessions::Session;
use emulator::world::{Hop, Target, World, WorldConfig};

use crate::client::{Answer, assume};
use crate::signing::{Signer, chain, chain_with, first, session, write};

const EXTERNAL_ID: &str = "tenant-42";

async fn two_hops() -> World {
    World::start(WorldConfig::default().two_hops(EXTERNAL_ID))
        .await
        .expect("a world")
}

/// A world whose only hop is changed, and a session of the role before it.
async fn one_hop(change: impl FnOnce(&mut Hop)) -> (World, Session) {
    let mut hop = Hop::new("123456789012", "writer");
    change(&mut hop);
    let config = WorldConfig {
        role_account: Some("111111111111".into()),
        role_max_session: Duration::from_secs(43_200),
        chain: vec![hop],
        ..WorldConfig::default()
    };
    let world = World::start(config).await.expect("a world");
    let session = first(&world).await;
    (world, session)
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, message: &str) {
    let said = answer.element("Message").replace("&apos;", "'");
    assert_eq!(
        (answer.status, answer.element("Code")),
        (status, code),
        "{said}"
    );
    assert!(said.contains(message), "{said}");
    assert!(!answer.body.contains("SecretAccessKey"));
}

#[tokio::test]
async fn two_hops_with_an_external_id_lead_to_the_workspace() {
    let world = two_hops().await;
    let [hub, writer] = world.chain() else {
        panic!("two roles")
    };
    let pod = first(&world).await;
    assert_eq!(pod.account, "111111111111");
    let at_hub = session(&world, &chain(&world, &pod, &hub.arn, &[]).await);
    let with_id = [("ExternalId", EXTERNAL_ID), ("DurationSeconds", "900")];
    let answer = chain(&world, &at_hub, &writer.arn, &with_id).await;
    assert!(
        answer.body.starts_with(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        ),
        "{}",
        answer.body
    );
    assert_eq!(
        answer.element("Arn"),
        "arn:aws:sts::123456789012:assumed-role/amp-chained-writer/prometheus-0"
    );
    assert_eq!(
        answer.header("x-amzn-requestid"),
        Some(answer.element("RequestId"))
    );
    let at_workspace = session(&world, &answer);
    let left = at_workspace
        .expiration
        .duration_since(SystemTime::now())
        .expect("ahead");
    assert!(left <= Duration::from_secs(901), "{left:?}");

    for (session, status) in [(&pod, 403), (&at_hub, 403), (&at_workspace, 200)] {
        let answer = write(&world, session, world.amp_url(), world.region()).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    let calls = world.sts_calls();
    let callers: Vec<_> = calls.iter().map(|call| call.caller.as_deref()).collect();
    assert_eq!(
        callers,
        [
            None,
            Some("arn:aws:sts::111111111111:assumed-role/amp-sidecar-writer/prometheus-0"),
            Some("arn:aws:sts::222222222222:assumed-role/hub/prometheus-0"),
        ]
    );
    assert_eq!(calls[2].external_id.as_deref(), Some(EXTERNAL_ID));
    let expected = format!("{},external-id=tenant-42", writer.arn);
    let environment = world.environment();
    let (_, value) = environment
        .iter()
        .find(|(name, _)| *name == "AMP_SIDECAR_ASSUME_ROLE")
        .expect("set");
    assert_eq!(*value, format!("{} {expected}", hub.arn));
}

#[tokio::test]
async fn the_external_id_is_asked_for_and_the_refusal_does_not_tell_it() {
    let world = two_hops().await;
    let [hub, writer] = world.chain() else {
        panic!("two roles")
    };
    let pod = first(&world).await;
    let at_hub = session(&world, &chain(&world, &pod, &hub.arn, &[]).await);
    let text = format!(
        "User: arn:aws:sts::222222222222:assumed-role/hub/prometheus-0 is not authorized to perform: sts:AssumeRole on resource: {}",
        writer.arn
    );
    for changes in [vec![], vec![("ExternalId", "tenant-43")]] {
        let answer = chain(&world, &at_hub, &writer.arn, &changes).await;
        refused(&answer, 403, "AccessDenied", &text);
        assert!(!answer.body.contains(EXTERNAL_ID));
    }
    // Past the hub, and to a role that is not there.
    let id = [("ExternalId", EXTERNAL_ID)];
    for (session, role) in [
        (&pod, writer.arn.as_str()),
        (&at_hub, "arn:aws:iam::123456789012:role/none"),
    ] {
        let answer = chain(&world, session, role, &id).await;
        refused(
            &answer,
            403,
            "AccessDenied",
            &format!("on resource: {role}"),
        );
    }
    // The later accounts know nothing of the pod's token.
    let direct = assume(&world, &[("RoleArn", &writer.arn)]).await;
    refused(
        &direct,
        400,
        "InvalidIdentityToken",
        "No OpenIDConnect provider found",
    );
}

#[tokio::test]
async fn across_accounts_both_sides_must_allow_it() {
    let root = r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": "sts:AssumeRole"}}"#;
    let home = root.replace("111111111111", "123456789012");
    for (account, policy, permitted, status) in [
        ("111111111111", None, true, 200),
        ("111111111111", None, false, 403),
        ("111111111111", Some(root), true, 200),
        ("111111111111", Some(root), false, 403),
        ("111111111111", Some(home.as_str()), true, 403),
        // At home it is enough to be named oneself.
        ("123456789012", None, false, 200),
        ("123456789012", Some(home.as_str()), false, 403),
        ("123456789012", Some(home.as_str()), true, 200),
    ] {
        let mut hop = Hop::new("123456789012", "writer");
        hop.permitted = permitted;
        hop.trust_policy = policy.map(str::to_owned);
        let config = WorldConfig {
            role_account: Some(account.into()),
            chain: vec![hop],
            ..WorldConfig::default()
        };
        let world = World::start(config).await.expect("a world");
        let pod = first(&world).await;
        let answer = chain(&world, &pod, &world.chain()[0].arn, &[]).await;
        assert_eq!(
            answer.status, status,
            "{account} {policy:?} {permitted}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_chained_session_lasts_an_hour_at_most() {
    let (world, pod) = one_hop(|hop| hop.max_session = Duration::from_secs(43_200)).await;
    let role = &world.chain()[0].arn;
    let longer = chain(&world, &pod, role, &[("DurationSeconds", "3601")]).await;
    let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
    refused(&longer, 400, "ValidationError", text);
    session(
        &world,
        &chain(&world, &pod, role, &[("DurationSeconds", "3600")]).await,
    );
    // The first role is not chained to.
    session(
        &world,
        &assume(&world, &[("DurationSeconds", "43200")]).await,
    );

    let (world, pod) = one_hop(|hop| hop.max_session = Duration::from_secs(900)).await;
    let text = "exceeds the MaxSessionDuration set for this role";
    let answer = chain(&world, &pod, &world.chain()[0].arn, &[]).await;
    refused(&answer, 400, "ValidationError", text);
    let name = [("RoleSessionName", "a/b"), ("DurationSeconds", "899")];
    let answer = chain(&world, &pod, &world.chain()[0].arn, &name).await;
    refused(
        &answer,
        400,
        "ValidationError",
        "2 validation errors detected: ",
    );
}

#[tokio::test]
async fn a_bad_signature_is_refused_for_its_own_reason() {
    let (world, pod) = one_hop(|_| {}).await;
    let role = world.chain()[0].arn.clone();
    let good = Signer::new(&pod, "sts", world.region());
    let changed = |change: fn(&mut Signer)| {
        let mut signer = good.clone();
        change(&mut signer);
        signer
    };
    for (signer, code, text) in [
        (
            changed(|signer| signer.session.secret_access_key.push('x')),
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
        ),
        (
            changed(|signer| signer.session.access_key_id = "ASIAUNKNOWN".into()),
            "InvalidClientTokenId",
            "The security token included in the request is invalid",
        ),
        (
            changed(|signer| signer.session.session_token.push('x')),
            "InvalidClientTokenId",
            "The security token included in the request is invalid",
        ),
        (
            changed(|signer| signer.region = "eu-west-3".into()),
            "SignatureDoesNotMatch",
            "scoped to a valid region",
        ),
        (
            changed(|signer| signer.service = "aps"),
            "SignatureDoesNotMatch",
            "scoped to correct service: 'sts'",
        ),
        (
            changed(|signer| signer.at -= Duration::from_secs(400)),
            "SignatureDoesNotMatch",
            "Signature expired",
        ),
    ] {
        let answer = chain_with(&world, &signer, &role, &[]).await;
        refused(&answer, 403, code, text);
        assert!(!answer.body.contains(&signer.session.session_token));
    }
    let unsigned = assume(&world, &[("Action", "AssumeRole"), ("RoleArn", &role)]).await;
    refused(
        &unsigned,
        403,
        "MissingAuthenticationToken",
        "Request is missing",
    );

    world.clock().set_offset_seconds(3700);
    let mut late = good;
    late.at = world.clock().now();
    let answer = chain_with(&world, &late, &role, &[]).await;
    refused(
        &answer,
        403,
        "ExpiredToken",
        "The security token included in the request is expired",
    );
    assert!(
        world
            .sts_calls()
            .iter()
            .skip(1)
            .all(|call| call.caller.is_none())
    );
    world.sessions().revoke_all();
    let answer = chain_with(&world, &late, &role, &[]).await;
    refused(&answer, 403, "InvalidClientTokenId", "is invalid");
}

#[tokio::test]
async fn tags_are_an_action_of_their_own_and_can_be_asked_for() {
    let tags = [
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "metrics"),
    ];
    let (world, pod) = one_hop(|_| {}).await;
    let tagged = session(
        &world,
        &chain(&world, &pod, &world.chain()[0].arn, &tags).await,
    );
    assert_eq!(tagged.context.tags["team"], "metrics");

    let policy = r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "${PREVIOUS}"}, "Action": ACTIONS,
        "Condition": {"StringEquals": {"aws:RequestTag/team": "metrics"}}}}"#;
    for (actions, changes, message) in [
        (
            r#"["sts:AssumeRole", "sts:TagSession"]"#,
            tags.as_slice(),
            "",
        ),
        (
            r#"["sts:AssumeRole", "sts:TagSession"]"#,
            &[],
            "perform: sts:AssumeRole on",
        ),
        (r#""sts:AssumeRole""#, &tags, "perform: sts:TagSession on"),
    ] {
        let policy = policy.replace("ACTIONS", actions);
        let (world, pod) = one_hop(|hop| hop.trust_policy = Some(policy)).await;
        let answer = chain(&world, &pod, &world.chain()[0].arn, changes).await;
        if message.is_empty() {
            session(&world, &answer);
        } else {
            refused(&answer, 403, "AccessDenied", message);
        }
    }
}

#[tokio::test]
async fn a_source_identity_stays_for_the_whole_chain() {
    let world = two_hops().await;
    let [hub, writer] = world.chain() else {
        panic!("two roles")
    };
    let pod = first(&world).await;
    let named = chain(&world, &pod, &hub.arn, &[("SourceIdentity", "cluster-1")]).await;
    assert_eq!(named.element("SourceIdentity"), "cluster-1");
    let at_hub = session(&world, &named);
    let id = ("ExternalId", EXTERNAL_ID);
    let other = chain(
        &world,
        &at_hub,
        &writer.arn,
        &[id, ("SourceIdentity", "cluster-2")],
    )
    .await;
    refused(
        &other,
        403,
        "AccessDenied",
        "perform: sts:SetSourceIdentity on",
    );
    let last = chain(&world, &at_hub, &writer.arn, &[id]).await;
    assert_eq!(last.element("SourceIdentity"), "cluster-1");

    let plain = r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "${PREVIOUS}"}, "Action": "sts:AssumeRole"}}"#;
    let (world, pod) = one_hop(|hop| hop.trust_policy = Some(plain.into())).await;
    let role = &world.chain()[0].arn;
    let answer = chain(&world, &pod, role, &[("SourceIdentity", "cluster-1")]).await;
    refused(
        &answer,
        403,
        "AccessDenied",
        "perform: sts:SetSourceIdentity on",
    );
    session(&world, &chain(&world, &pod, role, &[]).await);
}

#[tokio::test]
async fn a_session_policy_narrows_what_the_role_may() {
    let world = World::start(WorldConfig::default()).await.expect("a world");
    let workspace = format!(
        "arn:aws:aps:{}:123456789012:workspace/{}",
        world.region(),
        world.workspace_id()
    );
    let allow = |action: &str, resource: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "{action}", "Resource": "{resource}"}}]}}"#
        )
    };
    let managed = |name: &str| format!("arn:aws:iam::aws:policy/{name}");
    let arns = "PolicyArns.member.1.arn";
    for (field, value, status) in [
        ("Policy", allow("aps:RemoteWrite", &workspace), 200),
        ("Policy", allow("aps:*", "*"), 200),
        ("Policy", allow("aps:QueryMetrics", "*"), 403),
        (
            "Policy",
            allow("aps:RemoteWrite", &format!("{workspace}x")),
            403,
        ),
        (arns, managed("AmazonPrometheusRemoteWriteAccess"), 200),
        (arns, managed("AmazonPrometheusQueryAccess"), 403),
    ] {
        let narrowed = session(&world, &assume(&world, &[(field, &value)]).await);
        let answer = write(&world, &narrowed, world.amp_url(), world.region()).await;
        assert_eq!(answer.status, status, "{value}: {}", answer.body);
        if status == 403 {
            let text = "because no session policy allows the aps:RemoteWrite action";
            assert!(answer.body.contains(text), "{}", answer.body);
            assert_eq!(
                answer.header("x-amzn-errortype"),
                Some("AccessDeniedException")
            );
        }
    }
    let malformed = assume(&world, &[("Policy", "{}")]).await;
    refused(&malformed, 400, "MalformedPolicyDocument", "");
    let unknown = assume(&world, &[(arns, "arn:aws:iam::aws:policy/None")]).await;
    refused(&unknown, 400, "MalformedPolicyDocument", "policy/None");
    let long = assume(&world, &[("Policy", &" ".repeat(2049))]).await;
    refused(&long, 400, "ValidationError", "less than or equal to 2048");
}

#[tokio::test]
async fn a_session_policy_must_leave_the_next_hop_open() {
    let (world, _) = one_hop(|_| {}).await;
    let role = &world.chain()[0].arn;
    let policy = format!(
        r#"{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "{role}"}}}}"#
    );
    let open = session(&world, &assume(&world, &[("Policy", &policy)]).await);
    let narrow =
        r#"{"Statement": {"Effect": "Allow", "Action": "aps:RemoteWrite", "Resource": "*"}}"#;
    let last = session(
        &world,
        &chain(&world, &open, role, &[("Policy", narrow)]).await,
    );
    let answer = write(&world, &last, world.amp_url(), world.region()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let closed = session(&world, &assume(&world, &[("Policy", narrow)]).await);
    let answer = chain(&world, &closed, role, &[]).await;
    let text = "because no session policy allows the sts:AssumeRole action";
    refused(&answer, 403, "AccessDenied", text);
}

#[tokio::test]
async fn a_fault_can_be_for_one_hop_alone() {
    let world = two_hops().await;
    let [hub, writer] = world.chain() else {
        panic!("two roles")
    };
    world
        .faults(Target::Sts)
        .set([Fault::new(FaultKind::answer(503, "later")).on_body("role%2Famp-chained-writer")]);
    let pod = first(&world).await;
    let at_hub = session(&world, &chain(&world, &pod, &hub.arn, &[]).await);
    let id = [("ExternalId", EXTERNAL_ID)];
    assert_eq!(chain(&world, &at_hub, &writer.arn, &id).await.status, 503);
    world.faults(Target::Sts).clear();
    session(&world, &chain(&world, &at_hub, &writer.arn, &id).await);
}
