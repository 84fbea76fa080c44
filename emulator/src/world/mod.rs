//! Everything at once: issuer, token folder, STS, AMP, Entra ID, a machine's metadata
//! server and Roles Anywhere where they are asked for, and the admin endpoint, in one process on free ports of 127.0.0.1.
//!
//! In: a [`WorldConfig`], whose default just works. Out: a [`World`] with the
//! URLs and paths that a sidecar needs, the controls that a test turns, and
//! the records that it asks afterwards. Like kubelet, the world renews the
//! token at 80 % of its life.
//!
//! The order of the wiring: sockets first, because the issuer's URL is in every
//! token and trust policy; then keys and certificates; then the services.
//!
//! Invariant: dropping the world ends its servers and removes its folder.

mod accounts;
mod config;
pub(crate) mod controls;
pub(crate) mod error;
mod rehearsal;
mod target;
mod target_controls;
mod workspace;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use self::config::{Hop, OtherWorkspace, Ports, WorldConfig};
use self::controls::Controls;
pub use self::error::Error;
use self::rehearsal::{Places, Rehearsal, account_admin};
pub use self::target::Target;
use self::target_controls::TargetControls;
pub use self::workspace::Workspace;
use crate::admin::Admin;
use crate::amp::{Amp, Limits, Store};
use crate::anywhere::Anywhere;
use crate::clock::Clock;
use crate::container::{ContainerAgent, Platform};
use crate::credentials_file::{CredentialsFile, GivenKeys, PROFILE};
use crate::entra::Entra;
use crate::fault::Faults;
use crate::fetch::Fetcher;
use crate::front::Answers;
use crate::http::{Bound, Server};
use crate::issuer::{BrokenToken, Issuer};
use crate::journal::Journal;
use crate::machine::{GOOGLE_HOST, Google, Imds, KEYS_HOST, Machine, Metadata};
use crate::secrets::Secrets;
use crate::sessions::{Session, Sessions};
use crate::sts::account::AccountBook;
use crate::sts::{Sts, StsCall};
use crate::tcp::TcpFaults;
use crate::tls::{Certificates, Presented};
use crate::token_folder::TokenFolder;

/// A tenant and a cluster, as the path of an AKS issuer names them.
const ISSUER_PATH: &str =
    "/5f0b0e6c-2f4f-4b7e-8a66-0c7c4f1d2e3a/9d1c6a54-7f0e-4d53-b1c8-3e2a7b6f5c40/";

/// The id of an ECS task's credentials.
const TASK: &str = "3c1f6a52-7f0e-4d53-b1c8-3e2a7b6f5c40";

/// A role that follows on the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainedRole {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy asks for as `sts:ExternalId`.
    pub external_id: Option<String>,
}

/// A running world.
#[derive(Debug)]
pub struct World {
    controls: Arc<Controls>,
    urls: Urls,
    role_arn: String,
    chain: Vec<ChainedRole>,
    /// Where its metadata server is, and what it is.
    machine: Option<(SocketAddr, Machine)>,
    platform: Option<Platform>,
    keys: Option<GivenKeys>,
    user_key: Session,
    ca_file: PathBuf,
    /// Before the servers, so that no peer notices their end before it is cut off.
    tcp: [Option<TcpFaults>; 2],
    _servers: Vec<Server>,
    renewal: JoinHandle<()>,
    rehearsal: Option<Rehearsal>,
    folder: TempDir,
}

#[derive(Debug)]
struct Urls {
    sts: String,
    amp: String,
    container: String,
    admin: String,
    anywhere: Option<String>,
}

/// AMP with the world's clock.
#[derive(Debug)]
struct DatedAmp {
    amp: Amp,
    clock: Clock,
}

// === impl World ===

impl World {
    /// Starts a world. It serves on the present runtime.
    ///
    /// # Errors
    /// When a port is taken, the folder cannot be written, or the trust policy
    /// cannot be judged.
    pub async fn start(config: WorldConfig) -> Result<Self, Error> {
        let issuer_socket = bind(config.listen, config.ports.issuer).await?;
        let sts_socket = bind(config.listen, config.ports.sts).await?;
        let amp_socket = bind(config.listen, config.ports.amp).await?;
        let entra_socket = match config.entra {
            Some(_) => Some(bind(config.listen, config.ports.entra).await?),
            None => None,
        };
        let metadata_socket = match config.machine {
            Some(_) => Some(bind(config.listen, config.ports.metadata).await?),
            None => None,
        };
        let google_socket = match config.machine {
            Some(Machine::Google(_)) => Some(bind(config.listen, 0).await?),
            Some(Machine::Azure(_)) | None => None,
        };
        let anywhere_socket = match config.roles_anywhere {
            Some(_) => Some(bind(config.listen, config.ports.roles_anywhere).await?),
            None => None,
        };
        let container_socket = bind(config.listen, 0).await?;
        let admin_socket = bind(config.listen, config.ports.admin).await?;
        let iam_socket = bind(config.listen, 0).await?;
        let mut other_sockets = Vec::new();
        for other in &config.others {
            other_sockets.push(bind(config.listen, other.port).await?);
        }

        let clock = Clock::new();
        let issuer_origin =
            config.issuer_origin(origin(issuer_socket.address(), config.issuer_https));
        let issuer = tokio::task::spawn_blocking({
            let clock = clock.clone();
            move || Issuer::new(&issuer_origin, ISSUER_PATH, clock)
        })
        .await??;

        let hosts = match &entra_socket {
            Some(entra) if config.rehearsal => config.hosts(Places {
                issuer: issuer_socket.address(),
                entra: entra.address(),
                sts: sts_socket.address(),
                amp: amp_socket.address(),
                iam: iam_socket.address(),
            }),
            _ => {
                let google = google_socket.iter().map(Bound::address);
                let at = |place| [GOOGLE_HOST, KEYS_HOST].map(|host| (host.to_owned(), place));
                google.flat_map(at).collect()
            }
        };
        let mut regions = config.regions();
        let mut names = vec![
            "127.0.0.1".to_owned(),
            "localhost".to_owned(),
            "::1".to_owned(),
        ];
        for region in &regions {
            names.push(format!("aps-workspaces.{region}.amazonaws.com"));
            names.push(format!("sts.{region}.amazonaws.com"));
            names.push(format!("rolesanywhere.{region}.amazonaws.com"));
        }
        names.extend(config.names.iter().chain(hosts.hosts()).cloned());
        if config.rehearsal {
            // The scope of signatures for sts.amazonaws.com.
            regions.push("us-east-1".to_owned());
        }
        let certificates = Certificates::new(&names)?;
        let folder = tempfile::Builder::new()
            .prefix("amp-sidecar-emulator-")
            .tempdir()
            .map_err(Error::Folder)?;
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, certificates.ca_pem()).map_err(Error::Folder)?;
        let tokens =
            TokenFolder::new(folder.path().join("serviceaccount")).map_err(Error::Folder)?;

        let fetcher = Fetcher::new(certificates.client_config(), hosts.clone());
        let entra = match config.entra.clone().zip(entra_socket.as_ref()) {
            Some((mut entra, socket)) => {
                entra.settle(issuer.url(), &config.token.subject());
                let origin = config.entra_origin(origin(socket.address(), entra.https));
                let (clock, fetcher) = (clock.clone(), fetcher.clone());
                let made = move || Entra::new(entra, &origin, clock, fetcher);
                Some(tokio::task::spawn_blocking(made).await??)
            }
            None => None,
        };

        let secrets = Secrets::default();
        let (metadata, google) = match config.machine.clone() {
            None => (None, None),
            Some(Machine::Azure(vm)) => {
                let entra = entra.clone().ok_or(Error::NoTenant)?;
                let imds = Imds::new(vm, entra, clock.clone());
                (Some(Metadata::Azure(imds)), None)
            }
            Some(Machine::Google(vm)) => {
                let (clock, secrets) = (clock.clone(), secrets.clone());
                let made = move || Google::new(vm, clock, secrets);
                let google = tokio::task::spawn_blocking(made).await??;
                let documents = google.documents();
                (Some(Metadata::Google(Box::new(google))), Some(documents))
            }
        };

        let accounts = config.accounts(issuer.url(), entra.as_ref().map(Entra::authority))?;
        let accounts = AccountBook::new(accounts);
        let (role_arn, writer_arn) = (config.role_arn(), config.writer_arn());
        let sessions = Sessions::new();
        let container_fetcher = fetcher.clone();
        let sts = Sts::new(
            accounts.clone(),
            config
                .sts_region
                .clone()
                .map_or(regions, |region| vec![region]),
            sessions.clone(),
            clock.clone(),
            fetcher,
            config.session_life,
        );
        let anywhere = match config.roles_anywhere.clone() {
            Some(anywhere) => {
                let (arns, role_arn) = (config.anywhere_arns(), role_arn.clone());
                let (sts, clock) = (sts.clone(), clock.clone());
                let files = folder.path().join("certificate");
                let made = move || Anywhere::new(anywhere, arns, &role_arn, &files, sts, clock);
                Some(tokio::task::spawn_blocking(made).await??)
            }
            None => None,
        };
        let user_arn = format!(
            "arn:{}:iam::{}:user/amp-writer",
            config.partition(),
            config.amp.account
        );
        let user_key = sessions.issue_access_key(&user_arn);
        let mut amp_config = config.opened(&config.amp, &writer_arn);
        if config.keys == Some(GivenKeys::Static) {
            amp_config.allowed_roles.push(user_arn);
        }
        let amp = Amp::new(amp_config.clone(), sessions.clone());
        let rehearsal = if config.rehearsal {
            Some(Rehearsal::start(&config, hosts, &sessions, &clock).await?)
        } else {
            None
        };
        let iam = account_admin(
            &config,
            accounts,
            amp.clone(),
            sessions.clone(),
            clock.clone(),
        );
        let others: Vec<Workspace> = config
            .others
            .iter()
            .zip(&other_sockets)
            .map(|(other, socket)| {
                let role_arn = other.role_name.as_ref().map_or_else(
                    || writer_arn.clone(),
                    |name| config.arn(&other.amp.account, name),
                );
                Workspace {
                    amp: Amp::new(config.opened(&other.amp, &role_arn), sessions.clone()),
                    url: write_url(socket.address(), &other.amp.workspace_id),
                    role_arn,
                    controls: TargetControls::default(),
                }
            })
            .collect();

        let before = |socket: &Bound| {
            let proxy = config
                .tcp_faults
                .then(|| TcpFaults::start(socket.address()));
            proxy
                .transpose()
                .map_err(|source| Error::Bind { port: 0, source })
        };
        let (sts_tcp, amp_tcp) = (before(&sts_socket)?, before(&amp_socket)?);
        let place = |proxy: &Option<TcpFaults>, socket: &Bound| {
            proxy.as_ref().map_or(socket.address(), TcpFaults::address)
        };
        let sts_place = place(&sts_tcp, &sts_socket);
        let amp_place = place(&amp_tcp, &amp_socket);
        let urls = Urls {
            sts: origin(sts_place, config.sts_https),
            amp: write_url(amp_place, &config.amp.workspace_id),
            container: origin(container_socket.address(), false),
            admin: origin(admin_socket.address(), false),
            anywhere: anywhere_socket
                .as_ref()
                .zip(anywhere.as_ref())
                .map(|(socket, anywhere)| origin(socket.address(), anywhere.is_https())),
        };
        let container = ContainerAgent {
            sts: sts.clone(),
            clock: clock.clone(),
            fetcher: container_fetcher,
            issuer: issuer.url().to_owned(),
            subject: config.token.subject(),
            role_arn: role_arn.clone(),
            task: TASK.to_owned(),
        };
        let controls = Arc::new(Controls {
            clock: clock.clone(),
            sessions,
            sts: sts.clone(),
            certificates: certificates.clone(),
            issuer: issuer.clone(),
            amp: amp.clone(),
            entra: entra.clone(),
            anywhere: anywhere.clone(),
            amp_config,
            tokens,
            secrets,
            token: config.token.clone(),
            targets: Default::default(),
            others,
            credentials_file: CredentialsFile::below(folder.path()).map_err(Error::Folder)?,
            role_arn: role_arn.clone(),
        });
        controls.rotate_token()?;
        if config.keys == Some(GivenKeys::File) {
            controls.rotate_credentials_file()?;
        }

        let tls = TlsAcceptor::from(certificates.server_config());
        let tls_if = |wanted: bool| wanted.then(|| tls.clone());
        let dated = |amp: Amp| DatedAmp {
            amp,
            clock: clock.clone(),
        };
        let mut servers = vec![
            issuer_socket.serve(
                controls.front(Target::Issuer, issuer),
                tls_if(config.issuer_https),
            ),
            sts_socket.serve(controls.front(Target::Sts, sts), tls_if(config.sts_https)),
            amp_socket.serve(controls.front(Target::Amp, dated(amp)), Some(tls.clone())),
            container_socket.serve(controls.front(Target::Container, container), None),
            admin_socket.serve(
                Admin {
                    controls: Arc::clone(&controls),
                },
                None,
            ),
        ];
        if rehearsal.is_some() {
            servers.push(iam_socket.serve(
                TargetControls::default().front(iam, &clock, true),
                Some(tls.clone()),
            ));
        }
        for (socket, other) in other_sockets.into_iter().zip(&controls.others) {
            let front = other.controls.front(dated(other.amp.clone()), &clock, true);
            servers.push(socket.serve(front, Some(tls.clone())));
        }
        if let Some((socket, entra)) = entra_socket.zip(entra) {
            let tls = tls_if(entra.config().https);
            servers.push(socket.serve(controls.front(Target::Entra, entra), tls));
        }
        let metadata_place = metadata_socket.as_ref().map(Bound::address);
        if let Some((socket, metadata)) = metadata_socket.zip(metadata) {
            servers.push(socket.serve(controls.front(Target::Metadata, metadata), None));
        }
        if let Some((socket, documents)) = google_socket.zip(google) {
            let front = TargetControls::default().front(documents, &clock, false);
            servers.push(socket.serve(front, Some(tls.clone())));
        }
        if let Some((socket, anywhere)) = anywhere_socket.zip(anywhere) {
            let tls = tls_if(anywhere.is_https());
            servers.push(socket.serve(controls.front(Target::RolesAnywhere, anywhere), tls));
        }
        let renewal = tokio::spawn(renew(Arc::clone(&controls)));
        Ok(Self {
            controls,
            urls,
            role_arn,
            chain: config.chained(),
            machine: metadata_place.zip(config.machine),
            platform: config.container,
            keys: config.keys,
            user_key,
            ca_file,
            tcp: [sts_tcp, amp_tcp],
            _servers: servers,
            renewal,
            rehearsal,
            folder,
        })
    }

    /// What tokens have as `iss`.
    #[must_use]
    pub fn issuer_url(&self) -> &str {
        self.controls.issuer.url()
    }

    /// The projected token's path.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.controls.tokens.token_file()
    }

    /// For `AWS_ENDPOINT_URL_STS`.
    #[must_use]
    pub fn sts_url(&self) -> &str {
        &self.urls.sts
    }

    /// The workspace's whole remote-write URL.
    #[must_use]
    pub fn amp_url(&self) -> &str {
        &self.urls.amp
    }

    /// Where the admin endpoint listens.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.urls.admin
    }

    /// The authority's certificate as PEM, for `AWS_CA_BUNDLE`.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The world's folder, removed with it; there is room for a test's own files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The role to assume with the token.
    #[must_use]
    pub fn role_arn(&self) -> &str {
        &self.role_arn
    }

    /// The roles to assume one after the other from there, if any.
    #[must_use]
    pub fn chain(&self) -> &[ChainedRole] {
        &self.chain
    }

    /// The workspaces beside the first one.
    #[must_use]
    pub fn others(&self) -> &[Workspace] {
        &self.controls.others
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.controls.amp_config.region
    }

    /// The workspace.
    #[must_use]
    pub fn workspace_id(&self) -> &str {
        &self.controls.amp_config.workspace_id
    }

    /// The environment that points a sidecar at this world; of a rehearsal, that which leads every program to it.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let ca_file = self.ca_file.display().to_string();
        if let Some(rehearsal) = &self.rehearsal {
            let mut environment = rehearsal.environment(ca_file);
            environment.extend([
                ("REHEARSAL_ADMIN", self.urls.admin.clone()),
                ("REHEARSAL_FOLDER", self.folder.path().display().to_string()),
            ]);
            return environment;
        }
        let token_file = self.token_file().display().to_string();
        let mut environment = vec![
            ("AWS_REGION", self.region().to_owned()),
            ("AWS_ROLE_ARN", self.role_arn.clone()),
            ("AWS_ENDPOINT_URL_STS", self.urls.sts.clone()),
            ("AWS_CA_BUNDLE", ca_file),
            ("AMP_SIDECAR_WORKSPACE_ID", self.workspace_id().to_owned()),
            ("AMP_SIDECAR_REMOTE_WRITE_URL", self.urls.amp.clone()),
        ];
        if !self.chain.is_empty() {
            let hops: Vec<String> = self.chain.iter().map(ToString::to_string).collect();
            environment.push(("AMP_SIDECAR_ASSUME_ROLE", hops.join(" ")));
        }
        if let Some((place, machine)) = &self.machine {
            environment.extend(self.on_the_machine(*place, machine));
            return environment;
        }
        if let Some((anywhere, url)) = self.anywhere().zip(self.anywhere_url()) {
            let path = |file: PathBuf| file.display().to_string();
            environment.extend([
                ("AMP_SIDECAR_CREDENTIALS", "roles-anywhere".to_owned()),
                (
                    "AMP_SIDECAR_ROLES_ANYWHERE_CERTIFICATE",
                    path(anywhere.certificate_file()),
                ),
                (
                    "AMP_SIDECAR_ROLES_ANYWHERE_PRIVATE_KEY",
                    path(anywhere.key_file()),
                ),
                ("AMP_SIDECAR_TRUST_ANCHOR_ARN", anywhere.trust_anchor_arn()),
                ("AMP_SIDECAR_PROFILE_ARN", anywhere.profile_arn()),
                ("AWS_ENDPOINT_URL_ROLESANYWHERE", url.to_owned()),
            ]);
            return environment;
        }
        if let Some(source) = self.without_sts(&token_file) {
            environment.retain(|(name, _)| *name != "AWS_ROLE_ARN");
            environment.extend(source);
            return environment;
        }
        match self.entra() {
            None => environment.push(("AWS_WEB_IDENTITY_TOKEN_FILE", token_file)),
            Some(entra) => {
                let config = entra.config();
                let client_id = config.application().map(|own| own.client_id.clone());
                environment.extend([
                    ("AZURE_FEDERATED_TOKEN_FILE", token_file),
                    ("AZURE_CLIENT_ID", client_id.unwrap_or_default()),
                    ("AZURE_TENANT_ID", config.tenant_id.clone()),
                    ("AZURE_AUTHORITY_HOST", entra.authority().to_owned()),
                    ("AMP_SIDECAR_TOKEN_SOURCE", "entra".to_owned()),
                    ("AMP_SIDECAR_ENTRA_SCOPE", config.scope.clone()),
                ]);
            }
        }
        environment
    }

    /// What leads a sidecar to the metadata server of its machine.
    fn on_the_machine(&self, at: SocketAddr, machine: &Machine) -> Vec<(&'static str, String)> {
        let (source, (variable, place), audience) = match machine {
            Machine::Azure(_) => {
                let scope = self.entra().map(|entra| entra.config().scope.clone());
                let audience = scope.unwrap_or_default();
                let audience = audience.trim_end_matches("/.default").to_owned();
                let place = format!("http://{at}/");
                let place = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", place);
                ("azure-imds", place, audience)
            }
            Machine::Google(_) => {
                let place = ("GCE_METADATA_HOST", at.to_string());
                ("gce-metadata", place, "sts.amazonaws.com".to_owned())
            }
        };
        vec![
            ("AMP_SIDECAR_TOKEN_SOURCE", source.to_owned()),
            ("AMP_SIDECAR_TOKEN_AUDIENCE", audience),
            (variable, place),
        ]
    }

    /// Where the machine's metadata server listens, if the world has one.
    #[must_use]
    pub fn metadata_address(&self) -> Option<SocketAddr> {
        self.machine.as_ref().map(|(place, _)| *place)
    }

    /// What a source other than STS sets, where the world has one.
    fn without_sts(&self, token_file: &str) -> Option<Vec<(&'static str, String)>> {
        let source = |name: &str| ("AMP_SIDECAR_CREDENTIALS", name.to_owned());
        match self.keys {
            Some(GivenKeys::File) => {
                let file = self.credentials_file().display().to_string();
                return Some(vec![
                    source("file"),
                    ("AWS_SHARED_CREDENTIALS_FILE", file),
                    ("AWS_PROFILE", PROFILE.to_owned()),
                ]);
            }
            Some(GivenKeys::Static) => {
                let key = &self.user_key;
                return Some(vec![
                    source("file"),
                    ("AMP_SIDECAR_ALLOW_STATIC_KEYS", "true".to_owned()),
                    ("AWS_ACCESS_KEY_ID", key.access_key_id.clone()),
                    ("AWS_SECRET_ACCESS_KEY", key.secret_access_key.clone()),
                ]);
            }
            None => {}
        }
        let path = match self.platform? {
            Platform::PodIdentity => "/v1/credentials".to_owned(),
            Platform::Ecs => format!("/v2/credentials/{TASK}"),
        };
        let mut environment = vec![
            source("container"),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                format!("{}{path}", self.urls.container),
            ),
        ];
        if self.platform == Some(Platform::PodIdentity) {
            environment.push((
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                token_file.to_owned(),
            ));
        }
        Some(environment)
    }

    /// Where the agents of EKS and ECS listen.
    #[must_use]
    pub fn container_url(&self) -> &str {
        &self.urls.container
    }

    /// The shared credentials file; there is none before the first rotation.
    #[must_use]
    pub fn credentials_file(&self) -> &Path {
        self.controls.credentials_file.path()
    }

    /// Replaces the keys in the shared credentials file by those of a new session; the old one lives on until it expires.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn rotate_credentials_file(&self) -> Result<(), Error> {
        self.controls.rotate_credentials_file()
    }

    /// Whether it is one for a rehearsal, where [`World::environment`] is for every program.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.rehearsal.is_some()
    }

    /// Every token, key and session token that was handed out: what a test looks for in what is shown.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut secrets = self.controls.secrets.all();
        secrets.extend(self.sessions().secrets());
        secrets.extend(self.entra().map(Entra::secrets).unwrap_or_default());
        secrets.extend(self.anywhere().map(Anywhere::secrets).unwrap_or_default());
        secrets
    }

    /// The fault script of a target.
    #[must_use]
    pub fn faults(&self, target: Target) -> &Faults {
        self.controls.faults(target)
    }

    /// The TCP fault proxy before a target; none before the issuer,
    /// Entra, the metadata server and Roles Anywhere, and none at all unless [`WorldConfig::tcp_faults`] asks for them.
    #[must_use]
    pub fn tcp(&self, target: Target) -> Option<&TcpFaults> {
        let [sts, amp] = &self.tcp;
        match target {
            Target::Issuer
            | Target::Entra
            | Target::Metadata
            | Target::RolesAnywhere
            | Target::Container => None,
            Target::Sts => sts.as_ref(),
            Target::Amp => amp.as_ref(),
        }
    }

    /// The requests that a target received.
    #[must_use]
    pub fn journal(&self, target: Target) -> &Journal {
        self.controls.journal(target)
    }

    /// The world's wall time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.controls.clock
    }

    /// What STS issued.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.controls.sessions
    }

    /// STS itself, with its log of calls.
    #[must_use]
    pub fn sts(&self) -> &Sts {
        &self.controls.sts
    }

    /// The calls that STS judged, oldest first.
    #[must_use]
    pub fn sts_calls(&self) -> Vec<StsCall> {
        self.controls.sts.calls().all()
    }

    /// AMP itself.
    #[must_use]
    pub fn amp(&self) -> &Amp {
        &self.controls.amp
    }

    /// Changes limits and behavior of AMP's instance; see [`Limits`]. Those of another workspace are changed by its
    /// [`Workspace::amp`].
    pub fn change_limits(&self, change: impl FnOnce(&mut Limits)) {
        self.controls.amp.change_limits(change);
    }

    /// What AMP stored.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.controls.amp.store()
    }

    /// The issuer itself.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.controls.issuer
    }

    /// Entra ID itself, with its log of calls, where the world has one.
    #[must_use]
    pub fn entra(&self) -> Option<&Entra> {
        self.controls.entra.as_ref()
    }

    /// Roles Anywhere itself, with its log of calls, where the world has it.
    #[must_use]
    pub fn anywhere(&self) -> Option<&Anywhere> {
        self.controls.anywhere.as_ref()
    }

    /// For `AWS_ENDPOINT_URL_ROLESANYWHERE`.
    #[must_use]
    pub fn anywhere_url(&self) -> Option<&str> {
        self.urls.anywhere.as_deref()
    }

    /// For `AZURE_AUTHORITY_HOST`, with its last slash.
    #[must_use]
    pub fn entra_url(&self) -> Option<&str> {
        self.entra().map(Entra::authority)
    }

    /// The certificates of this world's servers.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.controls.certificates
    }

    /// Makes AMP (and whatever else speaks TLS here) show another certificate.
    pub fn present(&self, presented: Presented) {
        self.controls.certificates.present(presented);
    }

    /// Publishes a new token, as kubelet does long before the old one expires.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn rotate_token(&self) -> Result<(), Error> {
        self.controls.rotate_token()
    }

    /// Publishes a token that is of no use, until the next rotation.
    ///
    /// # Errors
    /// When the folder cannot be written or no key can be made.
    pub fn break_token(&self, how: BrokenToken) -> Result<(), Error> {
        self.controls.break_token(how)
    }

    /// Makes the issuer sign with a new key; blocks for a quarter of a second.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn rotate_keys(&self) -> Result<(), Error> {
        self.controls.rotate_keys()
    }

    /// Counts of everything, as the admin endpoint's `/state` shows them.
    #[must_use]
    pub fn state(&self) -> Value {
        self.controls.state()
    }
}

// === impl ChainedRole ===

impl fmt::Display for ChainedRole {
    /// As `AMP_SIDECAR_ASSUME_ROLE` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)?;
        match &self.external_id {
            Some(external_id) => write!(f, ",external-id={external_id}"),
            None => Ok(()),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Answers for DatedAmp {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.amp.handle(self.clock.now(), request).await
    }
}

async fn bind(address: IpAddr, port: u16) -> Result<Bound, Error> {
    Bound::to(SocketAddr::from((address, port)))
        .await
        .map_err(|source| Error::Bind { port, source })
}

fn origin(address: SocketAddr, https: bool) -> String {
    let scheme = if https { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn write_url(address: SocketAddr, workspace: &str) -> String {
    let origin = origin(address, true);
    format!("{origin}/workspaces/{workspace}/api/v1/remote_write")
}

/// Renews the token as kubelet does, until the world ends.
async fn renew(controls: Arc<Controls>) {
    let every = controls
        .token
        .life
        .mul_f64(0.8)
        .max(Duration::from_millis(100));
    loop {
        tokio::time::sleep(every).await;
        // A folder that cannot be written shows as a token that grows old, as in a cluster.
        let _tried = controls.rotate_token();
    }
}
