//! Rows about tokens, STS, credentials and the clock.

use std::time::Duration;

use super::builders::{amp_says, message, seconds, with_headers};
use crate::durability::form::Form;
use crate::durability::row::{Act, Row, Sending};
use crate::durability::shown::Shown;
use emulator::fault::{Fault, FaultKind};
use emulator::issuer::BrokenToken;
use emulator::tcp::{Cut, TcpFault, TcpFaultKind};
use emulator::tls::Presented;
use emulator::world::Target;

const EXPIRED: &str = "The security token included in the request is expired";

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let mut rows = tokens(form);
    rows.extend(sts(form));
    rows.extend(refusals(form));
    rows.extend(clocks(form));
    rows
}

/// Sessions end meanwhile, so that the token is really needed.
fn tokens(form: &Form) -> Vec<Row> {
    let broken = |name, what: &str, how, result| {
        Row::new(form, name, format!("{what}; sessions end meanwhile"))
            .short_sessions(form)
            .begin(Act::BreakToken(how))
            .end(Act::RotateToken)
            .shown(Shown::exchange(result))
    };
    vec![
        broken(
            "token-missing",
            "no token file",
            BrokenToken::Missing,
            "token_unreadable",
        ),
        broken(
            "token-empty",
            "an empty token file",
            BrokenToken::Empty,
            "token_empty",
        ),
        broken(
            "token-truncated",
            "half a token",
            BrokenToken::Truncated,
            "token_malformed",
        ),
        broken(
            "token-not-a-token",
            "a token file of other text",
            BrokenToken::NotAToken,
            "token_malformed",
        ),
        broken(
            "token-expired",
            "an expired token: STS ExpiredTokenException",
            BrokenToken::Expired,
            "ExpiredTokenException",
        ),
        broken(
            "token-wrong-audience",
            "a token for another audience: STS InvalidIdentityToken",
            BrokenToken::WrongAudience,
            "InvalidIdentityToken",
        ),
        broken(
            "token-wrong-subject",
            "another service account: STS AccessDenied",
            BrokenToken::WrongSubject,
            "AccessDenied",
        ),
        broken(
            "token-unknown-key",
            "a token that no published key verifies",
            BrokenToken::UnknownKey,
            "InvalidIdentityToken",
        ),
        Row::new(
            form,
            "token-rotated",
            "token and signing key rotate; sessions end meanwhile",
        )
        .short_sessions(form)
        .begin(Act::RotateKeys)
        .begin(Act::RotateToken)
        .end(Act::RotateToken)
        .shown(Shown::exchange("ok")),
    ]
}

fn sts(form: &Form) -> Vec<Row> {
    let row = |name, what: &str| {
        Row::new(form, name, format!("{what}; sessions end meanwhile")).short_sessions(form)
    };
    let says = |name, what: &str, answer: FaultKind, result| {
        row(name, what)
            .faults(Target::Sts, [Fault::new(answer)])
            .shown(Shown::exchange(result))
    };
    let refused = |row: Row| {
        row.tcp(
            Target::Sts,
            [
                TcpFault::new(TcpFaultKind::Refuse),
                TcpFault::new(TcpFaultKind::End(Cut::Reset)),
            ],
        )
    };
    // Their life is such that a renewal falls into the fault, and their end does not.
    let length = form.fault.max(seconds(12));
    let valid = Row::new(
        form,
        "sts-refused-credentials-valid",
        "STS refuses connections as credentials are to be renewed, which are still good",
    )
    .world(|world| world.session_life = Some(length * 5 / 3))
    .lasting(length);
    vec![
        refused(valid).shown(Shown::exchange("unreachable")),
        refused(row("sts-refused", "STS refuses connections"))
            .shown(Shown::outcome("no_credentials")),
        refused(row("vmagent-sts-refused", "STS refuses connections").sent_by(Sending::Vmagent))
            .shown(Shown::outcome("no_credentials")),
        says(
            "sts-hangs",
            "STS never answers",
            FaultKind::Hang,
            "timed_out",
        ),
        says(
            "sts-slow",
            "STS takes 3 s",
            FaultKind::Delay(seconds(3)),
            "ok",
        )
        .shown(Shown::Above(
            "amp_sidecar_credential_exchange_duration_seconds",
            "2.5",
        )),
        says(
            "sts-500",
            "STS answers 500",
            error(500, "InternalFailure", "We encountered an internal error"),
            "InternalFailure",
        ),
        says(
            "sts-throttled",
            "STS throttles",
            error(400, "Throttling", "Rate exceeded"),
            "Throttling",
        ),
        says(
            "sts-idp-unreachable",
            "STS cannot reach the issuer",
            error(
                400,
                "IDPCommunicationError",
                "Couldn't reach the identity provider",
            ),
            "IDPCommunicationError",
        ),
        says(
            "sts-region-disabled",
            "STS is off in the region",
            error(
                403,
                "RegionDisabledException",
                "STS is not activated in this region for account",
            ),
            "RegionDisabledException",
        ),
        row(
            "sts-expired-credentials",
            "STS hands out credentials that have expired",
        )
        .begin(Act::SessionLife(Duration::ZERO))
        .end(Act::SessionLife(form.session))
        .shown(Shown::exchange("unusable_answer")),
        says(
            "sts-wrong-xml",
            "STS answers XML that says nothing",
            FaultKind::WrongXml,
            "unusable_answer",
        ),
        says(
            "sts-garbage",
            "STS answers garbage",
            FaultKind::Garbage("\u{1}\u{2}garbage\r\n\r\n".to_owned()),
            "unreachable",
        ),
        says(
            "sts-endless",
            "STS' answer never ends",
            FaultKind::EndlessBody { status: Some(200) },
            "unusable_answer",
        ),
    ]
}

/// A refusal in STS' XML.
fn error(status: u16, code: &str, text: &str) -> FaultKind {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>Sender</Type>\n    \
         <Code>{code}</Code>\n    <Message>{text}</Message>\n  </Error>\n  \
         <RequestId>0c2c1f0a-8f6b-4b7e-9a55-1f2e3d4c5b6a</RequestId>\n</ErrorResponse>\n"
    );
    with_headers(status, &[("content-type", "text/xml")], body)
}

/// AMP finds fault with credentials or signature.
fn refusals(form: &Form) -> Vec<Row> {
    let typed = |status, name: &str, text: &str| {
        let body = serde_json::json!({"message": text}).to_string();
        with_headers(
            status,
            &[
                ("content-type", "application/json"),
                ("x-amzn-errortype", name),
            ],
            body,
        )
    };
    let revoked = |name, what: &str| {
        Row::new(form, name, what)
            .begin(Act::RevokeSessions)
            .shown(Shown::resent("credentials"))
    };
    vec![
        revoked(
            "credentials-revoked",
            "AMP no longer knows the session; the next one is good",
        ),
        revoked(
            "credentials-revoked-twice",
            "AMP no longer knows the session, nor, moments later, the next one",
        )
        .begin(Act::Wait(seconds(6)))
        .begin(Act::RevokeSessions)
        .shown(Shown::outcome("unauthenticated")),
        amp_says(
            form,
            "amp-403-expired",
            "AMP 403, token expired",
            message(403, EXPIRED),
        )
        .shown(Shown::outcome("unauthenticated")),
        amp_says(
            form,
            "vmagent-amp-403-expired",
            "AMP 403, token expired",
            message(403, EXPIRED),
        )
        .sent_by(Sending::Vmagent)
        .shown(Shown::outcome("unauthenticated")),
        amp_says(form, "amp-401", "AMP 401", message(401, "Unauthorized"))
            .shown(Shown::outcome("unauthenticated")),
        Row::new(
            form,
            "amp-403-access-denied",
            "the role may not aps:RemoteWrite for a while",
        )
        .begin(Act::MayWrite(false))
        .end(Act::MayWrite(true))
        .shown(Shown::Moved(
            "amp_sidecar_access_denied_total",
            Some(("action", "aps:RemoteWrite")),
        )),
        amp_says(
            form,
            "amp-400-expired-token",
            "AMP 400 ExpiredTokenException",
            typed(400, "ExpiredTokenException", EXPIRED),
        )
        .shown(Shown::outcome("unauthenticated")),
        amp_says(
            form,
            "amp-400-signature",
            "AMP 400 InvalidSignatureException",
            typed(
                400,
                "InvalidSignatureException",
                "Signature expired: 20250101T000000Z is now earlier than 20250101T000500Z",
            ),
        )
        .shown(Shown::outcome("unauthenticated")),
        amp_says(
            form,
            "amp-400-throttling",
            "AMP 400 ThrottlingException",
            typed(400, "ThrottlingException", "Rate exceeded"),
        )
        .shown(Shown::outcome("throttled")),
    ]
}

fn clocks(form: &Form) -> Vec<Row> {
    let off = |name, what: &str, seconds: i64| {
        #[allow(clippy::cast_precision_loss, reason = "ten minutes")]
        let shown = Shown::Is("amp_sidecar_clock_offset_seconds", seconds as f64, 5.0);
        Row::new(form, name, what).shown(shown)
    };
    let jumps = |name, what: &str, seconds| {
        off(name, what, seconds)
            .begin(Act::Clock(seconds))
            .begin(Act::RotateToken)
            .end(Act::Clock(0))
            .end(Act::RotateToken)
    };
    let starts = |name, what: &str, seconds| {
        off(name, what, seconds)
            .first(Act::Clock(seconds))
            .first(Act::RotateToken)
    };
    let shows = |name, what: &str, presented| {
        // A client that has spoken to AMP before resumes and sees no certificate.
        Row::new(form, name, format!("{what}, as the sidecar starts"))
            .world(|world| world.sts_https = false)
            .begin(Act::Present(presented))
            .begin(Act::KillSidecar)
            .begin(Act::StartSidecar)
            .end(Act::Present(Presented::Trusted))
            .shown(Shown::fault("tls"))
    };
    vec![
        jumps(
            "clock-10-min-behind",
            "this machine's clock falls 10 min behind AWS'",
            600,
        ),
        jumps(
            "clock-10-min-ahead",
            "this machine's clock runs 10 min ahead of AWS'",
            -600,
        ),
        starts("clock-10-min-behind-at-start", "so from the start", 600),
        starts("clock-10-min-ahead-at-start", "so from the start", -600),
        shows(
            "tls-expired",
            "AMP shows an expired certificate",
            Presented::Expired,
        ),
        shows(
            "tls-wrong-name",
            "AMP shows a certificate for another host",
            Presented::WrongName,
        ),
        shows(
            "tls-unknown-authority",
            "AMP shows a certificate of an unknown CA",
            Presented::UnknownAuthority,
        ),
    ]
}
