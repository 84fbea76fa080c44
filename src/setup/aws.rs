//! The objects in AWS, in three formats with the same content.
//!
//! In: a valid [`Aws`]. Out: a script of aws commands, a CloudFormation template or Terraform. The policies are the same JSON in all three,
//! since YAML and HCL accept JSON. The script may run again over existing objects; the other two leave that to their tools.

use super::policy::{Account, Federation};
use super::template::{fill, hcl, in_hcl, quoted, section, shell};
use crate::config::Alertmanager;

/// All values that AWS needs.
#[derive(Debug)]
pub(super) struct Aws {
    pub(super) form: Form,
    pub(super) federation: Federation,
    pub(super) account: Account,
    pub(super) region: String,
    pub(super) workspace: String,
    pub(super) role: String,
    pub(super) query_too: bool,
    pub(super) alertmanager: Alertmanager,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Cli,
    CloudFormation,
    Terraform,
}

// === impl Aws ===

impl Aws {
    pub(super) fn text(&self) -> String {
        let Self {
            federation,
            account,
            role,
            ..
        } = self;
        let arn = federation.principal(account);
        let trust = match self.form {
            // The reference makes CloudFormation create the provider before the role.
            Form::CloudFormation if federation.needs_provider() => federation.trust_policy_naming(
                &format!("!If [MakesProvider, !Ref Provider, {}]", quoted(&arn)),
            ),
            _ => federation.trust_policy(account),
        };
        let quote = |value: &str| self.form.quote(value);
        let permission = account.permission_policy(
            &self.region,
            &self.workspace,
            self.query_too,
            self.alertmanager,
        );
        let description = format!(
            "amp-sidecar: {} of {}",
            federation.subject, federation.issuer
        );
        fill(
            &section(
                self.form.template(),
                "provider",
                federation.needs_provider(),
            ),
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("account", &quote(&account.id)),
                ("issuer", &quote(&federation.issuer)),
                ("audience", &quote(&federation.audience)),
                ("provider_arn", &quote(&arn)),
                ("role", &quote(role)),
                ("role_arn", &quote(&account.role_arn(role))),
                ("description", &quote(&description)),
                ("trust_policy", &self.form.document(trust.trim_end())),
                (
                    "permission_policy",
                    &self.form.document(permission.trim_end()),
                ),
            ],
        )
    }
}

// === impl Form ===

impl Form {
    fn template(self) -> &'static str {
        match self {
            Self::Cli => include_str!("templates/aws.sh"),
            Self::CloudFormation => include_str!("templates/cloudformation.yaml"),
            Self::Terraform => include_str!("templates/main.tf"),
        }
    }

    fn quote(self, value: &str) -> String {
        match self {
            Self::Cli => shell(value),
            Self::CloudFormation => quoted(value),
            Self::Terraform => hcl(value),
        }
    }

    fn document(self, json: &str) -> String {
        match self {
            Self::Cli => shell(json),
            Self::CloudFormation => json.to_owned(),
            Self::Terraform => in_hcl(json),
        }
    }
}
