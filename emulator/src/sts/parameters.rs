//! The parameters of STS' actions, within AWS' limits.
//!
//! In: the decoded form. Out: [`WebIdentityRequest`], what AssumeRole's own
//! parser needs, or one `ValidationError` that lists everything that is wrong
//! at once, worded as AWS does.

use std::time::Duration;

use crate::form::Form;
use crate::iam::SessionPolicy;
use crate::sts::refusal::StsRefusal;

const DEFAULT_DURATION: u64 = 3600;
const POLICY_ARNS_AT_MOST: usize = 10;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WebIdentityRequest<'a> {
    pub(crate) role_arn: &'a str,
    /// The account in the ARN.
    pub(crate) account: &'a str,
    pub(crate) session_name: &'a str,
    pub(crate) token: &'a str,
    pub(crate) duration: Duration,
    pub(crate) narrowing: Narrowing<'a>,
}

/// The session policies sent along: `Policy` and `PolicyArns`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Narrowing<'a> {
    inline: Option<&'a str>,
    managed: Vec<&'a str>,
}

impl Narrowing<'_> {
    /// Reads them; `None` where there are none.
    pub(crate) fn policy(&self) -> Result<Option<SessionPolicy>, StsRefusal> {
        SessionPolicy::parse(self.inline, &self.managed)
            .map_err(|fault| StsRefusal::MalformedPolicy(fault.to_string()))
    }
}

impl<'a> WebIdentityRequest<'a> {
    pub(crate) fn parse(form: &'a Form) -> Result<Self, StsRefusal> {
        let mut wrong = Violations::default();
        let role_arn = wrong.text(form, "RoleArn", 20, 2048);
        let session_name = wrong.session_name(form);
        let token = wrong.text(form, "WebIdentityToken", 4, 20_000);
        let duration = wrong.duration(form);
        let narrowing = wrong.narrowing(form);
        wrong.refuse()?;
        let account = account_of(role_arn)
            .ok_or_else(|| StsRefusal::Validation("Request ARN is invalid".to_owned()))?;
        Ok(Self {
            role_arn,
            account,
            session_name,
            token,
            duration,
            narrowing,
        })
    }
}

/// What AWS calls constraints that members failed to satisfy.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    found: Vec<String>,
}

impl Violations {
    /// A field that must be there.
    pub(crate) fn text<'a>(
        &mut self,
        form: &'a Form,
        field: &str,
        least: usize,
        most: usize,
    ) -> &'a str {
        self.optional(form, field, least, most).unwrap_or_else(|| {
            let member = member(field);
            self.found.push(format!(
                "Value null at '{member}' failed to satisfy constraint: Member must not be null"
            ));
            ""
        })
    }

    /// A field that may be there.
    pub(crate) fn optional<'a>(
        &mut self,
        form: &'a Form,
        field: &str,
        least: usize,
        most: usize,
    ) -> Option<&'a str> {
        let text = form.get(field)?;
        self.length(text, field, least, most);
        Some(text)
    }

    pub(crate) fn length(&mut self, text: &str, field: &str, least: usize, most: usize) {
        let length = text.chars().count();
        if length < least {
            let rule = format!("Member must have length greater than or equal to {least}");
            self.add(text, field, &rule);
        }
        if length > most {
            let rule = format!("Member must have length less than or equal to {most}");
            self.add(text, field, &rule);
        }
    }

    /// Letters, digits and `others`; `pattern` is how AWS writes that.
    pub(crate) fn characters(
        &mut self,
        text: Option<&str>,
        field: &str,
        others: &str,
        pattern: &str,
    ) {
        let fits =
            |character: char| character.is_ascii_alphanumeric() || others.contains(character);
        if let Some(text) = text
            && !text.chars().all(fits)
        {
            let rule = format!("Member must satisfy regular expression pattern: {pattern}");
            self.add(text, field, &rule);
        }
    }

    pub(crate) fn session_name<'a>(&mut self, form: &'a Form) -> &'a str {
        let name = self.text(form, "RoleSessionName", 2, 64);
        self.characters(Some(name), "RoleSessionName", "_+=,.@-", r"[\w+=,.@-]*");
        name
    }

    pub(crate) fn duration(&mut self, form: &Form) -> Duration {
        let seconds = self.number(form, "DurationSeconds", DEFAULT_DURATION, 900, 43_200);
        Duration::from_secs(seconds)
    }

    pub(crate) fn narrowing<'a>(&mut self, form: &'a Form) -> Narrowing<'a> {
        let managed = members(form, "PolicyArns", ".arn");
        if managed.len() > POLICY_ARNS_AT_MOST {
            let rule =
                format!("Member must have length less than or equal to {POLICY_ARNS_AT_MOST}");
            self.add("[...]", "PolicyArns", &rule);
        }
        Narrowing {
            inline: self.optional(form, "Policy", 1, 2048),
            managed,
        }
    }

    fn number(&mut self, form: &Form, field: &str, default: u64, least: u64, most: u64) -> u64 {
        let Some(text) = form.get(field) else {
            return default;
        };
        match text.parse() {
            Err(_) => {
                self.add(text, field, "Member must be an integer");
                default
            }
            Ok(number) if number < least => {
                let rule = format!("Member must have value greater than or equal to {least}");
                self.add(text, field, &rule);
                number
            }
            Ok(number) if number > most => {
                let rule = format!("Member must have value less than or equal to {most}");
                self.add(text, field, &rule);
                number
            }
            Ok(number) => number,
        }
    }

    pub(crate) fn add(&mut self, value: &str, field: &str, rule: &str) {
        // AWS does not repeat tokens either.
        let value = if field == "WebIdentityToken" {
            "***"
        } else {
            value
        };
        let member = member(field);
        self.found.push(format!(
            "Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
        ));
    }

    pub(crate) fn refuse(self) -> Result<(), StsRefusal> {
        let count = self.found.len();
        let noun = if count == 1 { "error" } else { "errors" };
        if count == 0 {
            return Ok(());
        }
        let list = self.found.join("; ");
        Err(StsRefusal::Validation(format!(
            "{count} validation {noun} detected: {list}"
        )))
    }
}

/// AWS names members with a small first letter.
fn member(field: &str) -> String {
    let mut letters = field.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_lowercase().to_string() + letters.as_str()
    })
}

/// The list `<field>.member.1<end>`, `<field>.member.2<end>`, …, as far as it goes.
pub(crate) fn members<'a>(form: &'a Form, field: &str, end: &str) -> Vec<&'a str> {
    (1..)
        .map_while(|number: usize| form.get(&format!("{field}.member.{number}{end}")))
        .map(String::as_str)
        .collect()
}

/// The account in a role's ARN, if it is one.
pub(crate) fn account_of(role_arn: &str) -> Option<&str> {
    let mut parts = role_arn.splitn(6, ':');
    let scheme = parts.next()?;
    let partition = parts.next()?;
    let (service, region) = (parts.next()?, parts.next()?);
    let (account, resource) = (parts.next()?, parts.next()?);
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let role = resource
        .strip_prefix("role/")
        .is_some_and(|name| !name.is_empty() && !name.ends_with('/'));
    (scheme == "arn"
        && partition.starts_with("aws")
        && service == "iam"
        && region.is_empty()
        && digits
        && role)
        .then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(changes: &[(&str, &str)]) -> Form {
        let good = [
            ("RoleArn", "arn:aws:iam::123456789012:role/writer"),
            ("RoleSessionName", "prometheus-0"),
            ("WebIdentityToken", "a.b.c"),
        ];
        good.iter()
            .chain(changes)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_good_request_gets_the_default_duration() {
        let form = form(&[]);
        let request = WebIdentityRequest::parse(&form).expect("valid");
        assert_eq!(request.duration, Duration::from_secs(3600));
        assert_eq!(request.account, "123456789012");
    }

    #[test]
    fn each_limit_is_kept_and_worded_as_aws_does() {
        let long = "x".repeat(65);
        let pattern = "Value 'a/b' at 'roleSessionName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w+=,.@-]*";
        for (field, value, expected) in [
            (
                "RoleSessionName",
                "x",
                "Value 'x' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2",
            ),
            (
                "RoleSessionName",
                long.as_str(),
                "Member must have length less than or equal to 64",
            ),
            ("RoleSessionName", "a/b", pattern),
            (
                "RoleArn",
                "arn:aws:iam::1",
                "Member must have length greater than or equal to 20",
            ),
            (
                "RoleArn",
                "arn:aws:iam::123456789012:user/writer",
                "Request ARN is invalid",
            ),
            (
                "RoleArn",
                "arn:aws:iam:eu-west-1:123456789012:role/x",
                "Request ARN is invalid",
            ),
            (
                "DurationSeconds",
                "899",
                "Member must have value greater than or equal to 900",
            ),
            (
                "DurationSeconds",
                "43201",
                "Member must have value less than or equal to 43200",
            ),
            ("DurationSeconds", "1h", "Member must be an integer"),
            (
                "WebIdentityToken",
                "abc",
                "Value '***' at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or equal to 4",
            ),
        ] {
            let form = form(&[(field, value)]);
            let refusal = WebIdentityRequest::parse(&form).expect_err("refused");
            assert_eq!(refusal.code(), "ValidationError");
            assert!(refusal.to_string().contains(expected), "{field}: {refusal}");
        }
    }

    #[test]
    fn all_faults_are_listed_at_once() {
        let text = WebIdentityRequest::parse(&Form::new())
            .expect_err("refused")
            .to_string();
        assert!(
            text.starts_with("3 validation errors detected: Value null at 'roleArn'"),
            "{text}"
        );
    }
}
