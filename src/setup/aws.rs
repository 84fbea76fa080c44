//! The objects in AWS, in three formats with the same content.
//!
//! In: a valid [`Aws`]. Out: a script of aws commands, a CloudFormation template or Terraform. The policies are the same JSON in all three,
//! since YAML and HCL accept JSON. The script may run again over existing objects; the other two leave that to their tools.

use super::policy::{
    Account, CertificateSetup, CertificateTrust, Federation, PodIdentity, Trusted,
};
use super::template::{fill, hcl, in_hcl, quoted, section, shell};
use crate::config::Alertmanager;

/// What the script replaces by the trust anchor's ARN.
const ANCHOR_PLACE: &str = "TRUST-ANCHOR-ARN";

/// All values that AWS needs.
#[derive(Debug)]
pub(super) struct Aws {
    pub(super) form: Form,
    pub(super) trusted: Trusted,
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
            trusted,
            account,
            role,
            ..
        } = self;
        let quote = |value: &str| self.form.quote(value);
        let permission = account.permission_policy(
            &self.region,
            &self.workspace,
            self.query_too,
            self.alertmanager,
        );
        let template = self.form.template();
        let common = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("account", &quote(&account.id)),
            ("role", &quote(role)),
            ("role_arn", &quote(&account.role_arn(role))),
            (
                "permission_policy",
                &self.form.document(permission.trim_end()),
            ),
        ];
        let (kept, own): (&[&str], _) = match trusted {
            Trusted::Token(federation) if federation.needs_provider() => {
                (&["provider", "token"], self.of_token(federation))
            }
            Trusted::Token(federation) => (&["token"], self.of_token(federation)),
            Trusted::Pod(pod) => (&["pod"], self.of_pod(pod)),
            Trusted::Certificate(setup) => (&["certificate"], self.of_certificate(setup)),
        };
        let mut template = template.to_owned();
        for name in ["provider", "token", "pod", "certificate"] {
            template = section(&template, name, kept.contains(&name));
        }
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        let values: Vec<(&str, &str)> = common.into_iter().chain(own).collect();
        fill(&template, &values)
    }

    fn of_token(&self, federation: &Federation) -> Vec<(&'static str, String)> {
        let quote = |value: &str| self.form.quote(value);
        let arn = federation.principal(&self.account);
        let trust = match self.form {
            // The reference makes CloudFormation create the provider before the role.
            Form::CloudFormation if federation.needs_provider() => federation.trust_policy_naming(
                &format!("!If [MakesProvider, !Ref Provider, {}]", quoted(&arn)),
            ),
            _ => federation.trust_policy(&self.account),
        };
        let description = format!(
            "amp-sidecar: {} of {}",
            federation.subject, federation.issuer
        );
        vec![
            ("issuer", quote(&federation.issuer)),
            ("audience", quote(&federation.audience)),
            ("provider_arn", quote(&arn)),
            ("description", quote(&description)),
            ("trust_policy", self.form.document(trust.trim_end())),
        ]
    }

    fn of_certificate(&self, setup: &CertificateSetup) -> Vec<(&'static str, String)> {
        let quote = |value: &str| self.form.quote(value);
        let CertificateSetup {
            ca,
            common_name,
            namespace,
        } = setup;
        // Known once it was created.
        let anchor = match self.form {
            Form::Cli => &quoted(ANCHOR_PLACE),
            Form::CloudFormation => "!GetAtt TrustAnchor.TrustAnchorArn",
            Form::Terraform => "aws_rolesanywhere_trust_anchor.amp_sidecar.arn",
        };
        let trust = CertificateTrust::trust_policy_naming(common_name, anchor);
        let description = format!("amp-sidecar: certificates with the common name {common_name}");
        let source = serde_json::json!({
            "sourceType": "CERTIFICATE_BUNDLE",
            "sourceData": {"x509CertificateData": ca},
        });
        let manifest = fill(
            include_str!("templates/certificate.yaml"),
            &[
                ("namespace", &quoted(namespace)),
                ("common_name", &quoted(common_name)),
            ],
        );
        let commented = manifest.lines().map(|line| format!("# {line}"));
        vec![
            ("region", quote(&self.region)),
            ("ca", quote(ca)),
            ("source", quote(&source.to_string())),
            ("certificate", commented.collect::<Vec<_>>().join("\n")),
            ("description", quote(&description)),
            ("trust_policy", self.form.document(trust.trim_end())),
        ]
    }

    fn of_pod(&self, pod: &PodIdentity) -> Vec<(&'static str, String)> {
        let quote = |value: &str| self.form.quote(value);
        let PodIdentity {
            cluster,
            region,
            namespace,
            service_account,
        } = pod;
        let description =
            format!("amp-sidecar: {namespace}:{service_account} of the EKS cluster {cluster}");
        let trust = pod.trust_policy();
        vec![
            ("cluster", quote(cluster)),
            ("region", quote(region)),
            ("namespace", quote(namespace)),
            ("service_account", quote(service_account)),
            ("description", quote(&description)),
            ("trust_policy", self.form.document(trust.trim_end())),
        ]
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
