//! AssumeRole: one role's session asks for another role.
//!
//! In: the form, and the session that signed it. Out: the role and what its session is to carry, or a [`StsRefusal`].
//!
//! Who may: the role's trust policy must let the caller in, and the caller's own permissions must name the role
//! ([`Role::may_assume`]); only within one account is it enough that the trust policy names the caller itself. A session
//! policy of the caller must leave it to it. Source identity and session tags are actions of their own, which the trust
//! policy has to allow as well. Long-term keys are not played, so that every AssumeRole chains, and is capped at an hour.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::form::Form;
use crate::iam::ConditionKeys;
use crate::sessions::{Session, SessionContext};
use crate::sts::account::{Account, Role};
use crate::sts::parameters::{Narrowing, Violations, account_of, members};
use crate::sts::refusal::StsRefusal;
use crate::sts::trust::{Caller, Trust};

const ACTION: &str = "sts:AssumeRole";
const CHAINED_AT_MOST: Duration = Duration::from_secs(3600);
const TAGS_AT_MOST: usize = 50;
/// Parameters of AWS that change what is granted, and are not played.
const NOT_PLAYED: [&str; 4] = [
    "SerialNumber",
    "TokenCode",
    "TransitiveTagKeys",
    "ProvidedContexts",
];

/// What is asked for.
#[derive(Debug)]
pub(crate) struct AssumeRoleRequest<'a> {
    pub(crate) role_arn: &'a str,
    pub(crate) session_name: &'a str,
    pub(crate) duration: Duration,
    external_id: Option<&'a str>,
    source_identity: Option<&'a str>,
    tags: BTreeMap<&'a str, &'a str>,
    narrowing: Narrowing<'a>,
}

impl<'a> AssumeRoleRequest<'a> {
    pub(crate) fn parse(form: &'a Form) -> Result<Self, StsRefusal> {
        let not_played = NOT_PLAYED
            .iter()
            .find(|name| form.keys().any(|field| field.starts_with(**name)));
        if let Some(name) = not_played {
            let text = format!("{name} is not played by this emulator");
            return Err(StsRefusal::Validation(text));
        }
        let mut wrong = Violations::default();
        let role_arn = wrong.text(form, "RoleArn", 20, 2048);
        let session_name = wrong.session_name(form);
        let duration = wrong.duration(form);
        let external_id = wrong.optional(form, "ExternalId", 2, 1224);
        wrong.characters(external_id, "ExternalId", "_+=,.@:/-", r"[\w+=,.@:\/-]*");
        let source_identity = wrong.optional(form, "SourceIdentity", 2, 64);
        wrong.characters(source_identity, "SourceIdentity", "_+=,.@-", r"[\w+=,.@-]*");
        let narrowing = wrong.narrowing(form);
        wrong.refuse()?;
        if account_of(role_arn).is_none() {
            return Err(StsRefusal::Validation("Request ARN is invalid".to_owned()));
        }
        Ok(Self {
            role_arn,
            session_name,
            duration,
            external_id,
            source_identity,
            tags: tags(form)?,
            narrowing,
        })
    }

    /// The role, if `caller` may have it for so long, and what its session carries.
    pub(crate) fn grant<'r>(
        &self,
        caller: &Session,
        accounts: &'r [Account],
    ) -> Result<(&'r Role, SessionContext), StsRefusal> {
        let policy = self.narrowing.policy()?;
        let role = accounts.iter().find_map(|one| one.role(self.role_arn));
        let role = role.ok_or_else(|| self.denied(caller, ACTION, false))?;
        let source_identity = self.source_identity(caller)?;
        let keys = self.keys(caller, source_identity);
        let permitted = accounts
            .iter()
            .find_map(|one| one.role(&caller.role_arn))
            .is_some_and(|own| own.may_assume.contains(&role.arn));
        let at_home = account_of(&role.arn) == Some(caller.account.as_str());
        let actions = [
            Some(ACTION),
            source_identity.map(|_| "sts:SetSourceIdentity"),
            (!self.tags.is_empty()).then_some("sts:TagSession"),
        ];
        for action in actions.into_iter().flatten() {
            let allowed = match role.trust.trust(action, Caller::Session(caller), &keys) {
                Trust::None => false,
                Trust::Account => permitted,
                Trust::Itself => permitted || at_home,
            };
            if !allowed {
                return Err(self.denied(caller, action, false));
            }
            if !caller.is_left(action, &role.arn) {
                return Err(self.denied(caller, action, true));
            }
        }
        if self.duration > CHAINED_AT_MOST {
            let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
            return Err(StsRefusal::Validation(text.to_owned()));
        }
        role.allows(self.duration)?;
        let owned = |(key, value): (&&str, &&str)| ((*key).to_owned(), (*value).to_owned());
        let context = SessionContext {
            policy,
            source_identity: source_identity.map(str::to_owned),
            tags: self.tags.iter().map(owned).collect(),
        };
        Ok((role, context))
    }

    /// Once set it stays, whatever roles follow.
    fn source_identity<'s>(&'s self, caller: &'s Session) -> Result<Option<&'s str>, StsRefusal> {
        match (
            self.source_identity,
            caller.context.source_identity.as_deref(),
        ) {
            (Some(asked), Some(set)) if asked != set => {
                Err(self.denied(caller, "sts:SetSourceIdentity", false))
            }
            (asked, set) => Ok(set.or(asked)),
        }
    }

    fn keys(&self, caller: &Session, source_identity: Option<&str>) -> ConditionKeys {
        let mut keys = ConditionKeys::new();
        let mut add = |key: String, value: &str| {
            keys.entry(key).or_default().push(value.to_owned());
        };
        add("aws:PrincipalArn".into(), &caller.role_arn);
        add("aws:PrincipalAccount".into(), &caller.account);
        add("sts:RoleSessionName".into(), self.session_name);
        if let Some(external_id) = self.external_id {
            add("sts:ExternalId".into(), external_id);
        }
        if let Some(identity) = source_identity {
            add("sts:SourceIdentity".into(), identity);
        }
        if let Some(identity) = &caller.context.source_identity {
            add("aws:SourceIdentity".into(), identity);
        }
        for (key, value) in &self.tags {
            add(format!("aws:RequestTag/{key}"), value);
            add("aws:TagKeys".into(), key);
        }
        for (key, value) in &caller.context.tags {
            add(format!("aws:PrincipalTag/{key}"), value);
        }
        keys
    }

    fn denied(
        &self,
        caller: &Session,
        action: &'static str,
        by_session_policy: bool,
    ) -> StsRefusal {
        StsRefusal::NotAllowed {
            user: caller.assumed_role_arn.clone(),
            action,
            resource: self.role_arn.to_owned(),
            by_session_policy,
        }
    }
}

/// `Tags.member.N.Key` with its `Value`.
fn tags(form: &Form) -> Result<BTreeMap<&str, &str>, StsRefusal> {
    let keys = members(form, "Tags", ".Key");
    let mut wrong = Violations::default();
    if keys.len() > TAGS_AT_MOST {
        let rule = format!("Member must have length less than or equal to {TAGS_AT_MOST}");
        wrong.add("[...]", "Tags", &rule);
    }
    let mut tags = BTreeMap::new();
    for (at, key) in keys.iter().enumerate() {
        let place = format!("Tags.member.{}.Value", at + 1);
        let value = wrong.text(form, &place, 0, 256);
        wrong.length(key, &format!("Tags.member.{}.Key", at + 1), 1, 128);
        if tags.insert(*key, value).is_some() {
            let text = format!("Duplicate tag keys found: {key}");
            return Err(StsRefusal::Validation(text));
        }
    }
    wrong.refuse()?;
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::222222222222:role/writer";

    fn refused(changes: &[(&str, &str)]) -> String {
        let good = [("RoleArn", ROLE), ("RoleSessionName", "pod")];
        let form: Form = good
            .iter()
            .chain(changes)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let parsed = AssumeRoleRequest::parse(&form);
        parsed.map_or_else(|refusal| refusal.to_string(), |_| "accepted".into())
    }

    #[test]
    fn each_parameter_keeps_its_limits() {
        let long = "x".repeat(1225);
        for (field, value, expected) in [
            ("RoleSessionName", "pod", "accepted"),
            ("ExternalId", "a", "at 'externalId' failed"),
            ("ExternalId", &long, "less than or equal to 1224"),
            ("ExternalId", "a b", r"pattern: [\w+=,.@:\/-]*"),
            ("ExternalId", "a:/b", "accepted"),
            ("SourceIdentity", "a:b", "at 'sourceIdentity' failed"),
            ("DurationSeconds", "43201", "less than or equal to 43200"),
            (
                "RoleArn",
                "arn:aws:iam::222222222222:user/writer",
                "Request ARN is invalid",
            ),
            ("Policy", "", "at 'policy' failed"),
            (
                "Tags.member.1.Key",
                "team",
                "Value null at 'tags.member.1.Value'",
            ),
            ("TransitiveTagKeys.member.1", "team", "not played"),
            ("SerialNumber", "arn", "not played"),
        ] {
            let text = refused(&[(field, value)]);
            assert!(text.contains(expected), "{field}={value}: {text}");
        }
        let twice = [
            ("Tags.member.1.Key", "a"),
            ("Tags.member.1.Value", ""),
            ("Tags.member.2.Key", "a"),
            ("Tags.member.2.Value", "b"),
        ];
        assert!(refused(&twice).contains("Duplicate tag keys"));
    }
}
