//! The ARNs of IAM Roles Anywhere.

use super::identity::is_guid;
use crate::config::error::{Expected, checked};
use crate::config::values;

/// `arn:<partition>:rolesanywhere:<region>:<account>:trust-anchor/<id>`.
pub(crate) fn trust_anchor_arn(text: &str) -> Result<String, Expected> {
    let what = "a trust anchor's ARN, for example arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/ID";
    checked(text, is_of_roles_anywhere(text, "trust-anchor/"), what)
}

/// `arn:<partition>:rolesanywhere:<region>:<account>:profile/<id>`.
pub(crate) fn profile_arn(text: &str) -> Result<String, Expected> {
    let what = "the ARN of a profile of Roles Anywhere, for example arn:aws:rolesanywhere:eu-central-1:111122223333:profile/ID";
    checked(text, is_of_roles_anywhere(text, "profile/"), what)
}

fn is_of_roles_anywhere(arn: &str, kind: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "rolesanywhere", region, account, resource] = parts.as_slice() else {
        return false;
    };
    let id = resource.strip_prefix(kind).unwrap_or_default();
    partition.starts_with("aws")
        && values::region(region).is_ok()
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && is_guid(id)
}
