//! Which identity AWS is to trust, and how the pod obtains it.
//!
//! In: the arguments about issuer, service account and Entra, or the claims of a token instead. Out: a [`Federation`] for AWS, an [`Identity`] for the
//! pod. Token and arguments must agree, and a token for another audience, above all for the API server, is rejected: its holders must not get
//! access to AWS.

use super::{SetupInputs, Via};
use crate::config::{self, Expected};
use crate::setup::arguments::{self as argument, Argument};
use crate::setup::azure::TokenVersion;
use crate::setup::kubernetes::Identity;
use crate::setup::policy::{CertificateSetup, Federation, PodIdentity};
use crate::setup::values;

/// The audience in AWS' own instructions.
const STS_AUDIENCE: &str = "sts.amazonaws.com";

impl SetupInputs<'_> {
    /// The cluster's own tokens.
    pub(super) fn direct(&mut self) -> Option<Federation> {
        let (namespace, service_account) = self.service_account();
        let audience = self.audience();
        let issuer = match (self.given(&argument::TOKEN), self.given(&argument::ISSUER)) {
            (None, None) => self.error(&argument::ISSUER, "the cluster's issuer, or --token"),
            (Some(_), Some(_)) => self.error(
                &argument::ISSUER,
                "no value with --token, which contains it",
            ),
            (None, Some(_)) => self.parse(&argument::ISSUER, values::issuer),
            (Some(_), None) => {
                let claims = self.claims.clone()?;
                self.claim(values::issuer(&claims.iss), "iss", &claims.iss)
            }
        };
        Some(Federation {
            issuer: issuer?,
            subject: format!("system:serviceaccount:{}:{}", namespace?, service_account?),
            audience: audience?,
            original_audience: None,
        })
    }

    /// The tokens of a service account at Google.
    pub(super) fn of_google(&mut self) -> Option<Federation> {
        self.refuse_an_issuer(Via::GceMetadata);
        if self.given(&argument::TOKEN).is_some() {
            let claims = self.claims.clone()?;
            let [audience] = claims.aud.as_slice() else {
                return self.error(&argument::TOKEN, "a token with one audience in aud");
            };
            if !claims.is_googles() {
                let expected = "an identity token of Google's for --via gce-metadata; its iss is another issuer";
                return self.error(&argument::TOKEN, expected);
            }
            let subject = self.claim(values::unique_id(&claims.sub), "sub", &claims.sub);
            let audience = self.claim(values::claim(audience), "aud", audience);
            return Some(Federation::of_google(subject?, audience?));
        }
        let subject = self.parse(&argument::UNIQUE_ID, values::unique_id);
        let audience = self.parse(&argument::TOKEN_AUDIENCE, values::claim);
        Some(Federation::of_google(subject?, audience?))
    }

    /// The pods of a service account in an EKS cluster.
    pub(super) fn pod_identity(&mut self) -> Option<PodIdentity> {
        self.refuse_an_issuer(Via::PodIdentity);
        if self.given(&argument::TOKEN).is_some() {
            let expected = "no value with this --via: EKS trusts the cluster's tokens by itself";
            self.error::<()>(&argument::TOKEN, expected);
        }
        let cluster = self.parse(&argument::CLUSTER, values::eks_cluster);
        let region = match self.given(&argument::CLUSTER_REGION) {
            Some(_) => self.parse(&argument::CLUSTER_REGION, config::region),
            None => self.parse(&argument::REGION, config::region),
        };
        let (namespace, service_account) = self.service_account();
        Some(PodIdentity {
            cluster: cluster?,
            region: region?,
            namespace: namespace?,
            service_account: service_account?,
        })
    }

    /// The certificates of a CA that have a common name.
    pub(super) fn roles_anywhere(&mut self) -> Option<CertificateSetup> {
        self.refuse_an_issuer(Via::RolesAnywhere);
        if self.given(&argument::TOKEN).is_some() {
            let expected = "no value with this --via: a certificate takes its place";
            self.error::<()>(&argument::TOKEN, expected);
        }
        let ca = self.parse(&argument::CA_CERTIFICATE, values::ca_certificate);
        let common_name = self.parse(&argument::COMMON_NAME, values::common_name);
        let namespace = self.parse(&argument::NAMESPACE, values::kubernetes_name);
        Some(CertificateSetup {
            ca: ca?,
            common_name: common_name?,
            namespace: namespace?,
        })
    }

    fn refuse_an_issuer(&mut self, via: Via) {
        if self.given(&argument::ISSUER).is_some() {
            let trusted = match via {
                Via::GceMetadata => "AWS trusts Google by itself",
                Via::PodIdentity => "EKS trusts the cluster by itself",
                Via::RolesAnywhere => "AWS then trusts the CA of --ca-certificate",
                _ => "AWS then trusts the tenant's issuer",
            };
            let expected = format!("no value with this --via: {trusted}");
            self.error::<()>(&argument::ISSUER, &expected);
        }
    }

    /// Entra's tokens, from a token's claims or from their version.
    pub(super) fn through_entra(&mut self, via: Via) -> Option<Federation> {
        self.refuse_an_issuer(via);
        if self.given(&argument::TOKEN).is_some() {
            return self.of_entras_token();
        }
        let tenant = self.parse(&argument::TENANT_ID, values::guid);
        let subject = self.parse(&argument::OBJECT_ID, values::guid);
        let (issuer, audience) = match self.token_version()? {
            TokenVersion::V1 => {
                let audience = self.app_id_uri(tenant.as_deref());
                (format!("https://sts.windows.net/{}/", tenant?), audience)
            }
            TokenVersion::V2 => {
                let client = self.parse(&argument::CLIENT_ID, values::guid);
                let host = "https://login.microsoftonline.com";
                (format!("{host}/{}/v2.0", tenant?), client)
            }
        };
        Some(Federation {
            issuer,
            subject: subject?,
            audience: audience?,
            original_audience: None,
        })
    }

    fn of_entras_token(&mut self) -> Option<Federation> {
        let claims = self.claims.clone()?;
        let entras = [
            "https://sts.windows.net/",
            "https://login.microsoftonline.com/",
        ];
        if !entras.iter().any(|host| claims.iss.starts_with(host)) {
            let expected = "an Entra access token for this --via; its iss is another issuer";
            return self.error(&argument::TOKEN, expected);
        }
        // IAM uses azp as the audience if there is one.
        let audience = match (&claims.azp, claims.aud.as_slice()) {
            (Some(azp), _) => azp.clone(),
            (None, [only]) => only.clone(),
            _ => return self.error(&argument::TOKEN, "a token with one audience in aud"),
        };
        let issuer = self.claim(values::issuer(&claims.iss), "iss", &claims.iss);
        let subject = self.claim(values::claim(&claims.sub), "sub", &claims.sub);
        let audience = self.claim(values::claim(&audience), "aud", &audience);
        Some(Federation {
            issuer: issuer?,
            subject: subject?,
            audience: audience?,
            original_audience: None,
        })
    }

    pub(super) fn entra_identity(&mut self) -> Option<Identity> {
        let tenant = self.parse(&argument::TENANT_ID, values::guid);
        let client = self.parse(&argument::CLIENT_ID, values::guid);
        let app_id_uri = self.app_id_uri(tenant.as_deref());
        Some(Identity::EntraSetup {
            tenant: tenant?,
            client: client?,
            app_id_uri: app_id_uri?,
        })
    }

    /// The audience of the cluster's token. A token for the API server must not give access to AWS.
    pub(super) fn audience(&mut self) -> Option<String> {
        if self.given(&argument::TOKEN).is_none() {
            return Some(STS_AUDIENCE.to_owned());
        }
        let aud = self.claims.clone()?.aud;
        match aud.as_slice() {
            many if many.iter().any(|aud| aud == STS_AUDIENCE) => Some(STS_AUDIENCE.to_owned()),
            [only] if !only.starts_with("https://") => self.claim(values::claim(only), "aud", only),
            _ => self.error(
                &argument::TOKEN,
                "a token for AWS, for example from: kubectl create token SERVICE-ACCOUNT --namespace NAMESPACE --audience sts.amazonaws.com",
            ),
        }
    }

    /// Namespace and name, from the cluster's token and the arguments; they must not contradict.
    pub(super) fn service_account(&mut self) -> (Option<String>, Option<String>) {
        let mut of_token = [None, None];
        if let Some(claims) = &self.claims {
            let (sub, tail) = (
                claims.sub.clone(),
                claims.sub.strip_prefix("system:serviceaccount:"),
            );
            match tail.and_then(|tail| tail.split_once(':')) {
                Some((namespace, name)) => {
                    of_token = [Some(namespace.to_owned()), Some(name.to_owned())]
                }
                None => {
                    self.claim::<()>(
                        Err(Expected("system:serviceaccount:NAMESPACE:NAME".into())),
                        "sub",
                        &sub,
                    );
                    return (None, None);
                }
            }
        }
        let [namespace, name] = of_token;
        (
            self.agreed(&argument::NAMESPACE, namespace),
            self.agreed(&argument::SERVICE_ACCOUNT, name),
        )
    }

    fn agreed(&mut self, argument: &Argument, of_token: Option<String>) -> Option<String> {
        match (of_token, self.given(argument)) {
            (Some(of_token), Some(given)) if of_token != given => self.error(
                argument,
                &format!("the token's value, {of_token}, or no value"),
            ),
            (Some(of_token), _) => {
                let valid = values::kubernetes_name(&of_token);
                self.claim(valid, "sub", &of_token)
            }
            (None, _) => self.parse(argument, values::kubernetes_name),
        }
    }
}
