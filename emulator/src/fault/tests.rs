use super::*;

#[test]
fn a_timeline_is_read_from_json_and_written_back() {
    let text = r#"[
        {"after": 5, "for": 20, "do": "hang"},
        {"count": 3, "do": {"answer": {"status": 503, "headers": [["retry-after", "2"]], "body": "no"}}},
        {"do": {"delay": 0.5}, "path": "jwks", "body": "x"},
        {"do": {"reset_after": {"bytes": 10}}, "take_effect": true}
    ]"#;
    let script: Vec<Fault> = serde_json::from_str(text).expect("valid");
    assert_eq!(
        script[0],
        Fault::new(FaultKind::Hang)
            .after(Duration::from_secs(5))
            .lasting(Duration::from_secs(20))
    );
    assert_eq!(script[2].kind, FaultKind::Delay(Duration::from_millis(500)));
    let again = serde_json::to_string(&script).expect("serializes");
    assert_eq!(
        serde_json::from_str::<Vec<Fault>>(&again).expect("valid"),
        script
    );
}

#[test]
fn nonsense_is_refused() {
    for text in [
        r#"{"do": "explode"}"#,
        r#"{"do": "hang", "until": 3}"#,
        r#"{"do": "hang", "after": -1}"#,
    ] {
        assert!(serde_json::from_str::<Fault>(text).is_err(), "{text}");
    }
}

#[test]
fn time_count_and_path_decide_which_entry_is_met() {
    let faults = Faults::default();
    assert_eq!(faults.at_request("/", b""), None);
    faults.set([
        Fault::new(FaultKind::Hang).after(Duration::from_secs(60)),
        Fault::new(FaultKind::Reset).times(2),
        Fault::new(FaultKind::Close).on_path("jwks"),
        Fault::new(FaultKind::ResetOnAccept).times(1),
    ]);
    let kinds: Vec<_> = ["/", "/jwks", "/jwks", "/"]
        .map(|path| faults.at_request(path, b"").map(|fault| fault.kind))
        .into();
    assert_eq!(
        kinds,
        [
            Some(FaultKind::Reset),
            Some(FaultKind::Reset),
            Some(FaultKind::Close),
            None
        ]
    );
    assert_eq!(faults.at_arrival(), Arrival::Reset);
    assert_eq!(faults.at_arrival(), Arrival::Serve);
    assert_eq!(faults.hits(), [0, 2, 1, 1]);
    faults.clear();
    assert_eq!(faults.at_request("/jwks", b""), None);
}

#[test]
fn the_body_decides_too() {
    let faults = Faults::default();
    faults.set([Fault::new(FaultKind::Hang).on_body("Action=AssumeRole&")]);
    let met = |body: &[u8]| faults.at_request("/", body).is_some();
    assert!(met(b"Version=1&Action=AssumeRole&RoleArn=a"));
    assert!(!met(b"Action=AssumeRoleWithWebIdentity&RoleArn=a") && !met(b""));
}

#[test]
fn a_series_is_looked_for_in_the_unpacked_body() {
    let pack = |plain: &[u8]| {
        snap::raw::Encoder::new()
            .compress_vec(plain)
            .expect("packs")
    };
    let faults = Faults::default();
    let poison = FaultKind::engine("nh-size").expect("the engine has it");
    faults.set([Fault::new(poison).on_series("poisoned_total")]);
    let met = |body: &[u8]| faults.at_request("/", body).is_some();
    // The second time it stands there as a back reference: the packed bytes alone would not show it.
    let batch = [&b"other_total "[..], &b"poisoned_".repeat(9), b"total"].concat();
    assert!(met(&pack(&batch)));
    assert!(!met(&pack(b"other_total")) && !met(b"poisoned_total") && !met(b""));
    let text = serde_json::to_string(&faults.script()).expect("serializes");
    assert!(
        text.contains(r#""series":"poisoned_total""#) && text.contains(r#""engine":"nh-size""#),
        "{text}"
    );
    assert_eq!(
        serde_json::from_str::<Vec<Fault>>(&text).expect("valid"),
        faults.script()
    );
}

#[test]
fn a_fault_ends_with_its_time() {
    let fault = Fault::new(FaultKind::Hang)
        .after(Duration::from_secs(2))
        .lasting(Duration::from_secs(3));
    let on = |seconds| fault.is_on(Duration::from_secs(seconds), 0);
    assert_eq!([on(1), on(2), on(4), on(5)], [false, true, true, false]);
}
