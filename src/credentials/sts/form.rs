//! The form of each STS call.

use form_urlencoded::Serializer;

use crate::config::RoleSession;

/// AssumeRoleWithWebIdentity, which accepts no external id, source identity or tags: those come from the token.
pub(super) fn web_identity(session: &RoleSession, token: &str) -> String {
    let mut form = common("AssumeRoleWithWebIdentity", session);
    form.append_pair("WebIdentityToken", token);
    form.finish()
}

pub(super) fn role(session: &RoleSession) -> String {
    let mut form = common("AssumeRole", session);
    if let Some(id) = &session.external_id {
        form.append_pair("ExternalId", id);
    }
    if let Some(name) = &session.source_identity {
        form.append_pair("SourceIdentity", name);
    }
    for (index, (key, value)) in session.tags.iter().enumerate() {
        let member = format!("Tags.member.{}", index + 1);
        form.append_pair(&format!("{member}.Key"), key);
        form.append_pair(&format!("{member}.Value"), value);
    }
    form.finish()
}

fn common(action: &str, session: &RoleSession) -> Serializer<'static, String> {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", action)
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", &session.role_arn)
        .append_pair(
            "RoleSessionName",
            session.name.as_deref().unwrap_or_default(),
        )
        .append_pair("DurationSeconds", &session.duration.as_secs().to_string());
    if let Some(policy) = &session.policy {
        form.append_pair("Policy", policy);
    }
    for (index, arn) in session.policy_arns.iter().enumerate() {
        form.append_pair(&format!("PolicyArns.member.{}.arn", index + 1), arn);
    }
    form
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn session() -> RoleSession {
        RoleSession {
            role_arn: "arn:aws:iam::111122223333:role/amp".to_owned(),
            name: Some("pod.ns".to_owned()),
            duration: Duration::from_secs(900),
            external_id: Some("a,b".to_owned()),
            policy: Some(r#"{"Statement":[]}"#.to_owned()),
            policy_arns: vec!["arn:aws:iam::aws:policy/A".to_owned(), "B".to_owned()],
            source_identity: Some("aks".to_owned()),
            tags: vec![("team".to_owned(), "obs".to_owned())],
        }
    }

    fn fields(form: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(form.as_bytes())
            .into_owned()
            .collect()
    }

    #[test]
    fn each_action_asks_for_what_it_takes() {
        let both = [
            ("Version", "2011-06-15"),
            ("RoleArn", "arn:aws:iam::111122223333:role/amp"),
            ("RoleSessionName", "pod.ns"),
            ("DurationSeconds", "900"),
            ("Policy", r#"{"Statement":[]}"#),
            ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/A"),
            ("PolicyArns.member.2.arn", "B"),
        ];
        let expected = |action, more: &[(&str, &str)]| -> Vec<(String, String)> {
            [("Action", action)]
                .iter()
                .chain(&both)
                .chain(more)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert_eq!(
            fields(&web_identity(&session(), "a.b.c")),
            expected(
                "AssumeRoleWithWebIdentity",
                &[("WebIdentityToken", "a.b.c")]
            )
        );
        assert_eq!(
            fields(&role(&session())),
            expected(
                "AssumeRole",
                &[
                    ("ExternalId", "a,b"),
                    ("SourceIdentity", "aks"),
                    ("Tags.member.1.Key", "team"),
                    ("Tags.member.1.Value", "obs"),
                ]
            )
        );
    }
}
