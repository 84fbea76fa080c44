//! Parses the arguments of `setup`, and collects every error.
//!
//! In: the command line, and the claims of the token if one was named. Out: valid values to print, or all errors: a method returns `None` where it
//! noted one, and no caller stops at the `None` of another.

mod federation;

use super::arguments::Topic;
use super::arguments::{self as argument, ALL, Argument};
use super::aws::{Aws, Form};
use super::azure::{Application, Azure, Machine, RunsOn, TokenVersion};
use super::kubernetes::{Identity, Kubernetes, Runner};
use super::policy::{Account, Trusted};
use super::prometheus::Prometheus;
use super::values;
use crate::config::{self, Alertmanager, Expected, InvalidConfig, SettingError};
use crate::credentials::claims::Claims;

/// Collects errors while it reads; `None` from any of its methods means that an error was noted.
pub(super) struct SetupInputs<'a> {
    topic: Topic,
    given: &'a dyn Fn(&Argument) -> Option<String>,
    /// The claims of the named token, if any.
    claims: Option<Claims>,
    errors: Vec<SettingError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    Direct,
    Entra,
    AzureImds,
    GceMetadata,
    PodIdentity,
    RolesAnywhere,
}

// === impl SetupInputs ===

impl<'a> SetupInputs<'a> {
    /// `claims` are those of the token, or why there are none.
    pub(super) fn new(
        topic: Topic,
        given: &'a dyn Fn(&Argument) -> Option<String>,
        errors: Vec<SettingError>,
        claims: Option<Result<Claims, Expected>>,
    ) -> Self {
        let mut reader = Self {
            topic,
            given,
            claims: None,
            errors,
        };
        if let Some(claims) = claims {
            reader.claims = reader.checked(&argument::TOKEN, claims);
        }
        reader
    }

    pub(super) fn read(mut self) -> Result<String, InvalidConfig> {
        let text = match self.topic {
            Topic::Aws => self.aws().map(|aws| aws.text()),
            Topic::Azure => self.azure().map(|azure| azure.text()),
            Topic::Kubernetes => self.kubernetes().map(|kubernetes| kubernetes.text()),
            Topic::Prometheus => self.prometheus().map(|prometheus| prometheus.text()),
        };
        match text {
            Some(text) if self.errors.is_empty() => Ok(text),
            _ => Err(InvalidConfig {
                errors: self.errors,
                warnings: Vec::new(),
            }),
        }
    }

    fn aws(&mut self) -> Option<Aws> {
        let form = self.parse(&argument::FORMAT, |text| match text {
            "cli" => Ok(Form::Cli),
            "cloudformation" => Ok(Form::CloudFormation),
            "terraform" => Ok(Form::Terraform),
            _ => Err(Expected("cli, cloudformation or terraform".into())),
        });
        let trusted = match self.via() {
            Some(Via::Direct) => self.direct().map(Trusted::Token),
            Some(via @ (Via::Entra | Via::AzureImds)) => {
                self.through_entra(via).map(Trusted::Token)
            }
            Some(Via::GceMetadata) => self.of_google().map(Trusted::Token),
            Some(Via::PodIdentity) => self.pod_identity().map(Trusted::Pod),
            Some(Via::RolesAnywhere) => self.roles_anywhere().map(Trusted::Certificate),
            None => None,
        };
        let query_too = self.given(&argument::QUERY_TOO).is_some();
        let alertmanager = match self.given(&argument::ALERTMANAGER_TOO) {
            None => Some(Alertmanager::Off),
            Some(_) => self.parse(&argument::ALERTMANAGER_TOO, |text| match text {
                "read" => Ok(Alertmanager::Read),
                "silence" => Ok(Alertmanager::Silence),
                _ => Err(Expected("read or silence".into())),
            }),
        };
        let role = self.parse(&argument::ROLE_NAME, values::role_name);
        let workspace = self.parse(&argument::WORKSPACE_ID, config::workspace_id);
        let (region, account) = self.place();
        Some(Aws {
            form: form?,
            trusted: trusted?,
            account: account?,
            region: region?,
            workspace: workspace?,
            role: role?,
            query_too,
            alertmanager: alertmanager?,
        })
    }

    fn azure(&mut self) -> Option<Azure> {
        let resource_group = self.parse(&argument::RESOURCE_GROUP, values::azure_name);
        let runs_on = match self.via()? {
            Via::Direct => self.cluster().map(RunsOn::Cluster),
            Via::Entra => {
                let cluster = self.cluster();
                let application = self.application();
                let (namespace, service_account) = self.service_account();
                Some(RunsOn::ClusterWithEntra {
                    cluster: cluster?,
                    application: application?,
                    namespace: namespace?,
                    service_account: service_account?,
                })
            }
            Via::AzureImds => {
                let machine = self.machine();
                let application = self.application();
                Some(RunsOn::Machine {
                    machine: machine?,
                    application: application?,
                })
            }
            Via::GceMetadata | Via::PodIdentity | Via::RolesAnywhere => {
                self.error(&argument::VIA, "direct, entra or azure-imds")
            }
        };
        Some(Azure {
            resource_group: resource_group?,
            runs_on: runs_on?,
        })
    }

    fn cluster(&mut self) -> Option<String> {
        self.parse(&argument::CLUSTER, values::azure_name)
    }

    fn machine(&mut self) -> Option<Machine> {
        match (self.given(&argument::VM), self.given(&argument::VMSS)) {
            (Some(_), Some(_)) => self.error(
                &argument::VMSS,
                "no value with --vm: one of the two has the sidecar",
            ),
            (None, Some(_)) => {
                let name = self.parse(&argument::VMSS, values::azure_name);
                name.map(Machine::ScaleSet)
            }
            _ => {
                let name = self.parse(&argument::VM, values::azure_name);
                name.map(Machine::Vm)
            }
        }
    }

    fn application(&mut self) -> Option<Application> {
        let tenant = self.parse(&argument::TENANT_ID, values::guid);
        let app_id_uri = self.app_id_uri(tenant.as_deref());
        let token_version = self.token_version();
        Some(Application {
            tenant: tenant?,
            app_id_uri: app_id_uri?,
            token_version: token_version?,
        })
    }

    fn kubernetes(&mut self) -> Option<Kubernetes> {
        let runner = self.parse(&argument::FOR, |text| match text {
            "statefulset" => Ok(Runner::StatefulSet),
            "operator" => Ok(Runner::Operator),
            "kube-prometheus-stack" => Ok(Runner::KubePrometheusStack),
            "prometheus-chart" => Ok(Runner::PrometheusChart),
            _ => Err(Expected(
                "statefulset, operator, kube-prometheus-stack or prometheus-chart".into(),
            )),
        });
        let via = self.via();
        let identity = match via {
            Some(Via::Direct) => self
                .audience()
                .map(|audience| Identity::Direct { audience }),
            Some(Via::Entra) => self.entra_identity(),
            Some(Via::PodIdentity) => Some(Identity::Eks),
            Some(Via::RolesAnywhere) => self.error(
                &argument::VIA,
                "direct, entra or pod-identity: the settings and the Certificate for a pod are at the end of what setup aws --via roles-anywhere prints",
            ),
            Some(Via::AzureImds | Via::GceMetadata) => self.error(
                &argument::VIA,
                "direct, entra or pod-identity: a pod has a token of its own, which names it and not its node",
            ),
            None => None,
        };
        let name = self.parse(&argument::NAME, values::kubernetes_name);
        let container = self.parse(&argument::CONTAINER, values::kubernetes_name);
        let (namespace, service_account) = self.service_account();
        let image = self.parse(&argument::IMAGE, values::image);
        let native = self.given(&argument::PLAIN).is_none();
        let runbooks = self.parse(&argument::RUNBOOKS, values::page);
        let workspace = self.parse(&argument::WORKSPACE_ID, config::workspace_id);
        let role = self.parse(&argument::ROLE_NAME, values::role_name);
        let (region, account) = self.place();
        Some(Kubernetes {
            runner: runner?,
            native,
            name: name?,
            container: container?,
            namespace: namespace?,
            service_account: service_account?,
            image: image?,
            region: region?,
            workspace: workspace?,
            role_arn: account?.role_arn(&role?),
            identity: identity?,
            runbooks: runbooks?,
        })
    }

    fn prometheus(&mut self) -> Option<Prometheus> {
        let workspace = match self.given(&argument::WORKSPACE_ID) {
            None => None,
            Some(_) => Some(self.parse(&argument::WORKSPACE_ID, config::workspace_id)?),
        };
        Some(Prometheus { workspace })
    }

    // --- one value ---

    fn via(&mut self) -> Option<Via> {
        self.parse(&argument::VIA, |text| match text {
            "direct" => Ok(Via::Direct),
            "entra" => Ok(Via::Entra),
            "azure-imds" => Ok(Via::AzureImds),
            "gce-metadata" => Ok(Via::GceMetadata),
            "pod-identity" => Ok(Via::PodIdentity),
            "roles-anywhere" => Ok(Via::RolesAnywhere),
            _ => Err(Expected(
                "direct, entra, azure-imds, gce-metadata, pod-identity or roles-anywhere".into(),
            )),
        })
    }

    fn token_version(&mut self) -> Option<TokenVersion> {
        self.parse(&argument::ACCESS_TOKEN_VERSION, |text| match text {
            "1" => Ok(TokenVersion::V1),
            "2" => Ok(TokenVersion::V2),
            _ => Err(Expected("1 or 2".into())),
        })
    }

    fn app_id_uri(&mut self, tenant: Option<&str>) -> Option<String> {
        match self.given(&argument::APP_ID_URI) {
            Some(_) => self.parse(&argument::APP_ID_URI, values::app_id_uri),
            None => Some(format!("api://{}/amp-sidecar", tenant?)),
        }
    }

    fn place(&mut self) -> (Option<String>, Option<Account>) {
        let region = self.parse(&argument::REGION, config::region);
        let id = self.parse(&argument::ACCOUNT, values::account);
        let partition = match self.given(&argument::PARTITION) {
            Some(_) => self.parse(&argument::PARTITION, values::partition),
            None => region
                .as_deref()
                .map(|region| config::partition_id(region).to_owned()),
        };
        let account = id
            .zip(partition)
            .map(|(id, partition)| Account { partition, id });
        (region, account)
    }

    fn given(&self, argument: &Argument) -> Option<String> {
        (self.given)(argument).filter(|value| !value.is_empty())
    }

    /// The value on the command line, or the fixed default; else an error.
    fn parse<T>(
        &mut self,
        argument: &Argument,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let text = self
            .given(argument)
            .or_else(|| argument.fixed_default().map(str::to_owned));
        match text {
            Some(text) => self.checked(argument, parse(&text)),
            None => self.error(argument, &what(argument)),
        }
    }

    fn checked<T>(&mut self, argument: &Argument, value: Result<T, Expected>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(expected) => self.error(argument, &expected.0),
        }
    }

    /// An error about a claim; the message shows the claim, not the token.
    fn claim<T>(&mut self, value: Result<T, Expected>, name: &str, claim: &str) -> Option<T> {
        let expected = match value {
            Ok(value) => return Some(value),
            Err(expected) => expected,
        };
        self.errors.push(SettingError {
            setting: format!("{name} of --token"),
            value: crate::sanitize::sanitize(claim),
            expected: expected.0,
        });
        None
    }

    /// Notes an error; always `None`.
    fn error<T>(&mut self, argument: &Argument, expected: &str) -> Option<T> {
        let value = self.given(argument).unwrap_or_default();
        self.errors.push(SettingError {
            setting: format!("--{}", argument.flag),
            value: config::redact(&value),
            expected: expected.to_owned(),
        });
        None
    }
}

/// The argument's help, as the end of a sentence.
fn what(argument: &Argument) -> String {
    let mut letters = argument.help.chars();
    let initial = letters.next().map(|c| c.to_ascii_lowercase());
    initial.into_iter().chain(letters).collect()
}

pub(super) fn of(topic: Topic) -> impl Iterator<Item = &'static Argument> {
    ALL.iter()
        .filter(move |argument| argument.topics.contains(&topic))
}
