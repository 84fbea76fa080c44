//! The sets of labels that metrics bear.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;

/// A set whose names are known without a value of it, for the reference page.
pub(in crate::telemetry) trait Labels: EncodeLabelSet {
    /// The labels' names.
    const NAMES: &'static [&'static str];
}

macro_rules! label_set {
    ($set:ident { $($label:ident: $kind:ty),* }) => {
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(in crate::telemetry) struct $set {
            $(pub(in crate::telemetry) $label: $kind,)*
        }

        impl Labels for $set {
            const NAMES: &'static [&'static str] = &[$(stringify!($label)),*];
        }
    };
}

label_set!(Of {
    workspace: Arc<str>
});
label_set!(Outcome {
    workspace: Arc<str>,
    outcome: &'static str
});
label_set!(Reason {
    workspace: Arc<str>,
    reason: &'static str
});
label_set!(Phase {
    workspace: Arc<str>,
    phase: &'static str
});
label_set!(Code {
    workspace: Arc<str>,
    code: u16
});
label_set!(Denial {
    workspace: Arc<str>,
    action: &'static str,
    resource: String
});
label_set!(Exchange {
    workspace: Arc<str>,
    result: &'static str
});
label_set!(Call {
    workspace: Arc<str>,
    call: &'static str,
    result: &'static str
});
label_set!(Reload {
    result: &'static str
});
label_set!(Sent {
    result: &'static str
});
label_set!(Listener {
    listener: &'static str
});
label_set!(Head {
    listener: &'static str,
    reason: &'static str
});
label_set!(Api {
    workspace: Arc<str>,
    api: &'static str
});
label_set!(Query {
    workspace: Arc<str>,
    api: &'static str,
    code: u16
});
