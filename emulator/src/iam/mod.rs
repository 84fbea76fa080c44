//! IAM's policies: their language, and what a session policy leaves of a role's permissions.
//!
//! A role's trust policy is STS' own business and stays there; session policies are made by STS and heeded by AMP.

mod denial;
mod language;
mod session_policy;

pub use denial::{Denial, PolicyKind};
pub(crate) use language::{ConditionKeys, Conditions, Effect, OneOrMany, is_like};
pub use session_policy::SessionPolicy;
