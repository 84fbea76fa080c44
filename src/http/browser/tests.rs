use super::*;
use crate::http::head;

const ALL: [Purpose; 4] = [
    Purpose::Batch,
    Purpose::Query,
    Purpose::Probe,
    Purpose::Page,
];

fn names() -> AllowedHosts {
    AllowedHosts {
        allowed: vec!["sidecar.example".to_owned()],
        certified: false,
    }
}

/// Which of [`ALL`] purposes are allowed with these headers.
fn admitted(names: &AllowedHosts, host: &str, headers: &[(&str, &str)]) -> Vec<Purpose> {
    let mut request = Request::get("/x").header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let host = head::host(&request).unwrap();
    let admits = |purpose: &Purpose| names.admit(&request, host.as_ref(), *purpose).is_ok();
    ALL.into_iter().filter(admits).collect()
}

const CHROMIUM: &[(&str, &str)] = &[
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    ("accept-language", "en-GB,en;q=0.9"),
];

fn chromium<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [CHROMIUM, more].concat()
}

#[test]
fn senders_and_scrapers_may_use_any_name() {
    for host in [
        "amp-sidecar.monitoring.svc:8005",
        "alias",
        "aps-workspaces.us-east-1.amazonaws.com",
    ] {
        for agent in [
            "Prometheus/3.14.0",
            "vmagent",
            "kube-probe/1.33",
            "Go-http-client/1.1",
        ] {
            let said = [("user-agent", agent), ("accept-encoding", "gzip")];
            assert_eq!(
                admitted(&names(), host, &said),
                [Purpose::Batch, Purpose::Probe]
            );
        }
    }
}

#[test]
fn addresses_localhost_and_allowed_names_get_everything() {
    for host in [
        "127.0.0.1:8005",
        "[::1]:8006",
        "10.1.2.3",
        "localhost:8006",
        "LocalHost.",
        "a.localhost",
        "Sidecar.Example:8006",
    ] {
        assert_eq!(admitted(&names(), host, &[]), ALL, "{host}");
        let own = format!("http://{host}");
        let said = chromium(&[("sec-fetch-site", "same-origin"), ("origin", &own)]);
        assert_eq!(admitted(&names(), host, &said), ALL, "{host}");
        let opened = chromium(&[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]);
        assert_eq!(admitted(&names(), host, &opened), ALL, "{host}");
    }
}

#[test]
fn another_origin_gets_nothing() {
    for said in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", ""),
        ("origin", "http://evil.example"),
        ("origin", "http://localhost:3000"),
        ("origin", "http://127.0.0.1:80050"),
        ("origin", "null"),
        ("origin", "file://"),
    ] {
        assert_eq!(
            admitted(&names(), "127.0.0.1:8005", &[said]),
            [],
            "{said:?}"
        );
        let navigates = [
            said,
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ];
        assert_eq!(
            admitted(&names(), "127.0.0.1:8005", &navigates),
            [],
            "{said:?}"
        );
    }
    let both = [
        ("origin", "http://127.0.0.1:8005"),
        ("origin", "http://evil.example"),
    ];
    assert_eq!(admitted(&names(), "127.0.0.1:8005", &both), []);
}

#[test]
fn a_followed_link_may_open_a_page() {
    let followed = chromium(&[
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ]);
    let found = admitted(&names(), "localhost:8006", &followed);
    assert_eq!(found, [Purpose::Probe, Purpose::Page]);
    assert_eq!(admitted(&names(), "evil.example:8006", &followed), []);
}

/// The browser sees the same origin, and over plain http to a name other than localhost it sends no `Sec-Fetch-Site` at all.
#[test]
fn rebinding_is_detected_by_the_host_name() {
    let own = ("origin", "http://evil.example:8005");
    for said in [
        vec![],
        vec![own],
        vec![own, ("sec-fetch-site", "same-origin")],
    ] {
        let said = chromium(&said);
        assert_eq!(
            admitted(&names(), "evil.example:8005", &said),
            [],
            "{said:?}"
        );
    }
    assert_eq!(admitted(&names(), "evil.example:8005", &[own]), []);
    // A page can make a browser omit headers, but sensitive responses are still refused.
    let bare = admitted(&names(), "127.0.0.1.evil.example", &[]);
    assert_eq!(bare, [Purpose::Batch, Purpose::Probe]);
    let certified = AllowedHosts {
        certified: true,
        ..names()
    };
    assert_eq!(admitted(&certified, "amp-gateway.monitoring", &[]), ALL);
    let elsewhere = ("origin", "https://evil.example");
    assert_eq!(
        admitted(&certified, "amp-gateway.monitoring", &[elsewhere]),
        []
    );
}
