//! What AMP refuses before it looks at a single sample.

use std::time::Duration;

use emulator::amp::AmpConfig;

use crate::world::{ROLE, Signing, V1, World, named, packed, series};

#[tokio::test]
async fn other_paths_and_methods_do_not_exist() {
    let world = World::new();
    let path = world.path();
    let good = packed(&emulator::amp::proto::v1::WriteRequest::default());
    for (method, target) in [
        ("POST", format!("{path}/")),
        ("GET", path.clone()),
        ("POST", "/".into()),
        ("POST", "/workspaces//api/v1/remote_write".into()),
        ("POST", "/workspaces/a/b/api/v1/remote_write".into()),
        ("POST", path.replace("remote_write", "rules")),
        ("POST", format!("/x{path}")),
    ] {
        let request = Signing {
            method,
            target: target.clone(),
            ..world.signing()
        }
        .sign(good.clone());
        let answer = world.handle(request).await;
        assert_eq!(
            answer.text, r#"{"message":"Missing Authentication Token"}"#,
            "{method} {target}"
        );
        answer.assert_aws(
            403,
            "MissingAuthenticationTokenException",
            "message",
            "Missing",
        );
    }
}

#[tokio::test]
async fn another_workspace_does_not_exist() {
    let world = World::new();
    let target = "/workspaces/ws-0/api/v1/remote_write".into();
    let answer = world
        .handle(
            Signing {
                target,
                ..world.signing()
            }
            .sign(""),
        )
        .await;
    assert_eq!(answer.text, r#"{"Message":"Workspace not found"}"#);
    answer.assert_aws(
        404,
        "ResourceNotFoundException",
        "Message",
        "Workspace not found",
    );
}

#[tokio::test]
async fn only_allowed_roles_of_the_account_write() {
    let world = World::new();
    let empty = packed(&emulator::amp::proto::v1::WriteRequest::default());
    let reader = "arn:aws:iam::123456789012:role/reader";
    let foreign = "arn:aws:iam::999999999999:role/writer";
    world.amp.allow_roles([ROLE.to_owned(), foreign.to_owned()]);
    for (role, user) in [
        (reader, "arn:aws:sts::123456789012:assumed-role/reader/pod"),
        (foreign, "arn:aws:sts::999999999999:assumed-role/writer/pod"),
    ] {
        let session = world
            .sessions
            .issue(role, "pod", Duration::from_secs(900), world.now);
        let answer = world
            .handle(
                Signing {
                    session,
                    ..world.signing()
                }
                .sign(empty.clone()),
            )
            .await;
        let text = format!(
            "User: {user} is not authorized to perform: aps:RemoteWrite on resource: \
             arn:aws:aps:us-east-1:123456789012:workspace/{}",
            world.amp.config().workspace_id
        );
        answer.assert_aws(403, "AccessDeniedException", "Message", &text);
    }
    world.send(V1, empty.clone()).await.assert_ok();
    world.amp.allow_roles([reader.to_owned()]);
    world.send(V1, empty.clone()).await.assert_aws(
        403,
        "AccessDeniedException",
        "Message",
        "User: ",
    );
    world.amp.allow_roles([ROLE.to_owned()]);
    world.send(V1, empty).await.assert_ok();
}

#[tokio::test]
async fn a_tenant_header_is_refused_even_if_signed() {
    let world = World::new();
    let mut signing = world.signing();
    signing.headers.push(("x-scope-orgid", "me".into()));
    let answer = world.handle(signing.sign("")).await;
    answer.assert_aws(
        403,
        "ForbiddenException",
        "message",
        "Forbidden header: X-Scope-OrgID",
    );
}

#[tokio::test]
async fn the_size_limit_is_inclusive() {
    let world = World::with(AmpConfig {
        max_request_bytes: 200,
        ..AmpConfig::default()
    });
    let answer = world.send(V1, vec![0xff; 201]).await;
    answer.assert_aws(
        413,
        "RequestEntityTooLargeException",
        "message",
        "Request Too Long",
    );
    let answer = world.send(V1, vec![0xff; 200]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(AmpConfig::default().max_request_bytes, 1_000_000);
}

#[tokio::test]
async fn only_snappy_protobuf_is_read() {
    let world = World::new();
    for (content_type, text) in [
        (
            "application/json",
            "expected application/x-protobuf as the first (media) part, got application/json content-type",
        ),
        (
            "application/x-protobuf;proto=other",
            "got application/x-protobuf;proto=other content type; unknown type for remote write protobuf message other, \
             supported: prometheus.WriteRequest, io.prometheus.write.v2.Request",
        ),
    ] {
        world.send(content_type, "").await.assert_plain(415, text);
    }
    for encoding in ["gzip", "zstd", "SNAPPY", "snappy, snappy"] {
        let mut signing = world.signing();
        signing.headers[0].1 = encoding.into();
        let text = format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        );
        world
            .handle(signing.sign(""))
            .await
            .assert_plain(415, &text);
    }
}

#[tokio::test]
async fn absent_headers_mean_snappy_and_version_1() {
    let world = World::new();
    let now = world.now_ms();
    for (index, metric) in [(0, "no_encoding"), (1, "no_type")] {
        let mut signing = world.signing();
        signing.headers.remove(index);
        let body = packed(&emulator::amp::proto::v1::WriteRequest {
            timeseries: vec![series(metric, &[(now, 1.0)])],
            metadata: Vec::new(),
        });
        world.handle(signing.sign(body)).await.assert_ok();
        assert!(world.amp.store().contains(&named(metric), now), "{metric}");
    }
}

#[tokio::test]
async fn broken_bodies_are_malformed() {
    let world = World::new();
    let good = packed(&emulator::amp::proto::v1::WriteRequest {
        timeseries: vec![series("up", &[(world.now_ms(), 1.0)])],
        metadata: Vec::new(),
    });
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    for body in [&b""[..], b"plain text", &good[..good.len() - 1], &bomb] {
        let answer = world.send(V1, body.to_vec()).await;
        let text = match body == bomb {
            true => "received message larger than max (4294967295 vs 104857600)",
            false => "snappy: corrupt input",
        };
        answer.assert_plain(400, text);
    }
    for (plain, text) in [
        (&b"\x0a"[..], "unexpected EOF"),
        (b"\x0a\x05ab", "unexpected EOF"),
        (b"\x0a\x04\x0a\x02\x0a\x7f", "unexpected EOF"),
        (b"\x0b", "proto: wrong wireType = 3 for field Timeseries"),
        (b"\x0f", "proto: illegal wireType 7"),
    ] {
        let answer = world
            .send(V1, snap::raw::Encoder::new().compress_vec(plain).unwrap())
            .await;
        answer.assert_plain(400, text);
    }
    assert_eq!(world.amp.store().stats().batches, 0);
}
