//! The arguments of aws-sigv4-proxy (`cmd/aws-sigv4-proxy/main.go` of 2026-05), a row each.

/// An argument of aws-sigv4-proxy.
pub(super) struct ForeignFlag {
    pub(super) flag: &'static str,
    pub(super) short: Option<char>,
    pub(super) takes_value: bool,
    pub(super) effect: Effect,
}

/// What becomes of an argument.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Name,
    Host,
    SignHost,
    Scheme,
    Port,
    Verbose,
    /// Nothing: the sidecar does it anyway, or there is nothing to do.
    Nothing,
    /// An error, with the expected alternative.
    Refused(&'static str),
}

pub(super) static FLAGS: [ForeignFlag; 14] = [
    with_value("name", Effect::Name),
    with_value("host", Effect::Host),
    with_value("sign-host", Effect::SignHost),
    with_value("upstream-url-scheme", Effect::Scheme),
    with_value("port", Effect::Port),
    switch("verbose", Some('v'), Effect::Verbose),
    switch("log-failed-requests", None, Effect::Nothing),
    switch("log-signing-process", None, Effect::Nothing),
    ForeignFlag {
        short: Some('s'),
        ..with_value("strip", Effect::Nothing)
    },
    with_value("custom-headers", Effect::Nothing),
    with_value("duplicate-headers", Effect::Nothing),
    with_value("transport.idle-conn-timeout", Effect::Nothing),
    switch(
        "unsigned-payload",
        None,
        Effect::Refused("no such argument: the signature always covers the body"),
    ),
    switch(
        "no-verify-ssl",
        None,
        Effect::Refused("--ca-bundle with the CA to trust: certificates are always verified"),
    ),
];

const fn with_value(flag: &'static str, effect: Effect) -> ForeignFlag {
    ForeignFlag {
        flag,
        short: None,
        takes_value: true,
        effect,
    }
}

const fn switch(flag: &'static str, short: Option<char>, effect: Effect) -> ForeignFlag {
    ForeignFlag {
        flag,
        short,
        takes_value: false,
        effect,
    }
}

/// The argument that a word is, and its value if that is attached: `--port=:8005`, `-sAuthorization`.
pub(super) fn known(word: &str) -> Option<(&'static ForeignFlag, Option<&str>)> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let found = FLAGS.iter().find(|known| known.flag == name)?;
        return Some((found, value));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let letter = letters.next()?;
    let attached = Some(letters.as_str()).filter(|rest| !rest.is_empty());
    let found = FLAGS.iter().find(|known| known.short == Some(letter))?;
    (found.takes_value || attached.is_none()).then_some((found, attached))
}
