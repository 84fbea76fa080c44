//! The metrics' sets of labels.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;

/// The label names of a set, for the reference page.
pub(crate) trait Labels: EncodeLabelSet {
    const NAMES: &'static [&'static str];
}

macro_rules! label_set {
    ($set:ident { $($label:ident: $kind:ty),* }) => {
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(crate) struct $set {
            $(pub(crate) $label: $kind,)*
        }

        impl Labels for $set {
            const NAMES: &'static [&'static str] = &[$(stringify!($label)),*];
        }
    };
}

label_set!(WorkspaceLabels {
    workspace: Arc<str>
});
label_set!(OutcomeLabels {
    workspace: Arc<str>,
    outcome: &'static str
});
label_set!(ReasonLabels {
    workspace: Arc<str>,
    reason: &'static str
});
label_set!(KeysLabels {
    workspace: Arc<str>,
    keys: &'static str
});
label_set!(PhaseLabels {
    workspace: Arc<str>,
    phase: &'static str
});
label_set!(CodeLabels {
    workspace: Arc<str>,
    code: u16
});
label_set!(DenialLabels {
    workspace: Arc<str>,
    action: &'static str,
    resource: String
});
label_set!(ExchangeLabels {
    workspace: Arc<str>,
    result: &'static str
});
label_set!(CallLabels {
    workspace: Arc<str>,
    call: &'static str,
    result: &'static str
});
label_set!(ReloadLabels {
    result: &'static str
});
label_set!(SpanLabels {
    result: &'static str
});
label_set!(ListenerLabels {
    listener: &'static str
});
label_set!(HeadLabels {
    listener: &'static str,
    reason: &'static str
});
label_set!(ApiLabels {
    workspace: Arc<str>,
    api: &'static str
});
label_set!(QueryLabels {
    workspace: Arc<str>,
    api: &'static str,
    code: u16
});
