//! Reads the whole configuration: the process' settings, and each workspace.
//!
//! In: flags, environment and file. Out: a valid [`Config`], or an [`InvalidConfig`] with all errors; the warnings with either. Every part is read
//! before the first missing one ends it, so that all errors are reported. What is outside the process and may still appear (the token file, STS,
//! DNS) is not checked: a valid configuration always starts.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use tracing::Level;

use super::by_path;
use super::error::InvalidConfig;
use super::model::{
    Config, Drain, Environment, ForeignArguments, Log, LogFormat, Origins, Sampling, SpanQueue,
    Tracing, Workspace,
};
use super::network::{Network, NoProxy};
use super::settings::{self, Row, Setting};
use super::sources::Sources;
use super::workspace::{self, WorkspaceId};
use crate::tls_files::{CaBundle, InvalidFile, ServerAuthFiles, TlsFile};

impl Config {
    /// Reads and validates everything; `flag` gives the text of a setting on the command line.
    ///
    /// # Errors
    /// [`InvalidConfig`] with all errors.
    pub fn read(
        flag: &dyn Fn(&Setting) -> Option<String>,
        environment: &Environment<'_>,
    ) -> Result<Self, InvalidConfig> {
        Self::read_beside(flag, environment, &ForeignArguments::default())
    }

    /// The same, with what arguments of another program gave besides `flag`.
    ///
    /// # Errors
    /// [`InvalidConfig`] with all errors.
    pub fn read_beside(
        flag: &dyn Fn(&Setting) -> Option<String>,
        environment: &Environment<'_>,
        foreign: &ForeignArguments,
    ) -> Result<Self, InvalidConfig> {
        let mut sources = Sources::new(flag, environment);
        sources.add(foreign);
        let config = config(&mut sources);
        let (config, warnings) = sources.finish(config)?;
        Ok(Self { warnings, ..config })
    }
}

impl Log {
    /// How to report that a configuration is invalid: as that configuration says, as far as it can be read.
    pub fn of_invalid(
        flag: &dyn Fn(&Setting) -> Option<String>,
        environment: &Environment<'_>,
    ) -> Self {
        let mut sources = Sources::new(flag, environment);
        let _unreadable = sources.read_file();
        let format = sources.read_set(&settings::LOG_FORMAT);
        let level = sources.read_set(&settings::LOG_LEVEL);
        Self {
            format: format.unwrap_or(default_format(environment)),
            level: level.unwrap_or(Level::INFO),
        }
    }
}

fn config(sources: &mut Sources<'_>) -> Option<Config> {
    sources.read_file()?;
    let listen = listen(sources);
    let allow_host = sources.read_list(&settings::ALLOW_HOST);
    let admin_listen = sources.read(&settings::ADMIN_LISTEN);
    let same = |(listen, _): &(SocketAddr, _)| listen.port() != 0 && Some(*listen) == admin_listen;
    if listen.as_ref().is_some_and(same) {
        sources.error(&settings::ADMIN_LISTEN, "an address other than --listen");
    }
    let by_path = by_path::read(sources);
    let workspaces = match by_path {
        Some(None) => workspaces(sources),
        _ => Some((Vec::new(), Vec::new())),
    };
    let extra_roots = roots(sources, &settings::CA_BUNDLE);
    let network = network(sources);
    let drain = drain(sources);
    let log = log(sources);
    let sandbox = sources.read(&settings::SANDBOX);
    let tracing = tracing(sources);
    let (listen, server_auth) = listen?;
    let (workspaces, mut origins) = workspaces?;
    let by_path = by_path?.map(|(by_path, of_template)| {
        origins.push(of_template);
        by_path
    });
    if by_path.as_ref().is_some_and(|by_path| by_path.allowed) {
        check_clients(sources, listen.ip(), &server_auth);
    }
    let (ca_bundle, extra_roots) = extra_roots?;
    Some(Config {
        file: sources.text(&settings::CONFIG).map(PathBuf::from),
        listen,
        server_auth,
        allow_host: allow_host?,
        admin_listen: admin_listen?,
        workspaces,
        by_path,
        ca_bundle,
        extra_roots,
        network: network?,
        drain: drain?,
        log: log?,
        sandbox: sandbox?,
        tracing: tracing?,
        warnings: Vec::new(),
        origins: (sources.origins(), origins),
    })
}

/// The address for senders, and how they authenticate there.
fn listen(sources: &mut Sources<'_>) -> Option<(SocketAddr, ServerAuthFiles)> {
    let open = sources.read(&settings::ALLOW_NON_LOOPBACK);
    let listen = sources.read(&settings::LISTEN);
    let auth = server_auth(sources)?;
    let (open, listen) = (open?, listen?);
    if !open && !authenticates(&auth) && !listen.ip().is_loopback() {
        let expected = "a loopback address; or TLS with --listen-bearer-token-file or --listen-client-ca; or \
                        --allow-non-loopback";
        sources.error(&settings::LISTEN, expected);
        return None;
    }
    Some((listen, auth))
}

fn authenticates(auth: &ServerAuthFiles) -> bool {
    auth.certificate.is_some() && (auth.client_ca.is_some() || auth.bearer_tokens.is_some())
}

/// Clients that choose the workspace must be in this pod, or authenticate.
fn check_clients(sources: &mut Sources<'_>, listen: IpAddr, auth: &ServerAuthFiles) {
    if !listen.is_loopback() && !authenticates(auth) {
        let expected =
            "a configured workspace, a loopback --listen, or clients that authenticate there";
        sources.error(&settings::ANY_WORKSPACE, expected);
    }
}

fn server_auth(sources: &mut Sources<'_>) -> Option<ServerAuthFiles> {
    let files = ServerAuthFiles {
        certificate: tls_file(sources, &settings::LISTEN_TLS_CERT),
        key: tls_file(sources, &settings::LISTEN_TLS_KEY),
        client_ca: tls_file(sources, &settings::LISTEN_CLIENT_CA),
        bearer_tokens: tls_file(sources, &settings::LISTEN_BEARER_TOKEN_FILE),
    };
    let before = sources.error_count();
    let both = "both a certificate and its key, or neither";
    match (&files.certificate, &files.key) {
        (Some(_), None) => sources.error(&settings::LISTEN_TLS_KEY, both),
        (None, Some(_)) => sources.error(&settings::LISTEN_TLS_CERT, both),
        _ => {}
    }
    let without_tls = [&files.client_ca, &files.bearer_tokens];
    let without_tls = without_tls.into_iter().flatten();
    for file in without_tls.filter(|_| files.certificate.is_none()) {
        let expected = "TLS as well (--listen-tls-cert, --listen-tls-key), or no value";
        error_of_file(sources, file.setting, expected);
    }
    match files.read() {
        Ok((contents, _)) => {
            for words in contents.skipped() {
                sources.warn(&settings::LISTEN_CLIENT_CA, words);
            }
        }
        Err(invalid) => {
            for InvalidFile { setting, expected } in invalid.0 {
                error_of_file(sources, setting, &expected);
            }
        }
    }
    (sources.error_count() == before).then_some(files)
}

fn tls_file(sources: &mut Sources<'_>, row: &Row<PathBuf>) -> Option<TlsFile> {
    let path = sources.read_set(row)?;
    let setting = row.flag;
    Some(TlsFile { setting, path })
}

fn error_of_file(sources: &mut Sources<'_>, flag: &str, expected: &str) {
    if let Some(setting) = settings::ALL.iter().find(|setting| setting.flag == flag) {
        sources.error(setting, expected);
    }
}

/// The path of a bundle, if one is set, and its certificates.
fn roots(
    sources: &mut Sources<'_>,
    row: &Row<PathBuf>,
) -> Option<(Option<PathBuf>, Vec<CertificateDer<'static>>)> {
    let Some(path) = sources.read_optional(row)? else {
        return Some((None, Vec::new()));
    };
    match CaBundle::read(&path) {
        Ok(bundle) => {
            for words in &bundle.skipped {
                sources.warn(row, words);
            }
            Some((Some(path), bundle.certificates))
        }
        Err(expected) => {
            sources.error(row, &expected);
            None
        }
    }
}

/// One for each entry of the file, or one without.
fn workspaces(sources: &mut Sources<'_>) -> Option<(Vec<Workspace>, Vec<Origins>)> {
    let entries = match sources.file.workspaces.len() {
        0 => vec![None],
        several => (0..several).map(Some).collect(),
    };
    let read = entries.into_iter().map(|entry| {
        sources.entry = entry;
        workspace::read(sources, WorkspaceId::Configured)
    });
    let read: Vec<_> = read.collect();
    check_names(sources, &read);
    sources.entry = None;
    read.into_iter().collect()
}

/// Paths identify a workspace by name or id, so no two may share one.
fn check_names(sources: &mut Sources<'_>, workspaces: &[Option<(Workspace, Origins)>]) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (n, workspace) in workspaces.iter().enumerate() {
        let Some((workspace, _)) = workspace else {
            continue;
        };
        sources.entry = Some(n);
        for key in [&workspace.id, &workspace.name] {
            let before = *seen.entry(key).or_insert(n);
            if before != n {
                let expected = format!("a name and ID other than those of workspaces[{before}]");
                sources.error_of_name(key, &expected);
                break;
            }
        }
    }
}

/// Many programs use it for http only, and all calls of AWS are https.
fn warn_of_http_proxy(sources: &mut Sources<'_>) {
    let is_set = |name: &&str| {
        let value = (sources.environment.env)(name);
        value.is_some_and(|value| !value.trim().is_empty())
    };
    if let Some(name) = ["HTTP_PROXY", "http_proxy"].into_iter().find(is_set) {
        let words =
            "AWS is called over https: only HTTPS_PROXY (or --https-proxy) is used, not this one";
        sources.warn_of_variable(name, words);
    }
}

fn network(sources: &mut Sources<'_>) -> Option<Network> {
    let Some(proxy) = sources.read_optional(&settings::HTTPS_PROXY)? else {
        warn_of_http_proxy(sources);
        return Some(Network::default());
    };
    let no_proxy = sources.read_set(&settings::NO_PROXY);
    let no_proxy = no_proxy.unwrap_or_else(|| NoProxy::parse(""));
    for words in &no_proxy.ignored {
        sources.warn(&settings::NO_PROXY, words);
    }
    Some(Network::new(proxy, no_proxy))
}

fn drain(sources: &mut Sources<'_>) -> Option<Drain> {
    let idle = sources.read(&settings::DRAIN_IDLE);
    let timeout = sources.read(&settings::DRAIN_TIMEOUT);
    Some(Drain {
        idle: idle?,
        timeout: timeout?,
    })
}

fn log(sources: &mut Sources<'_>) -> Option<Log> {
    let format = sources.read_optional(&settings::LOG_FORMAT);
    let level = sources.read(&settings::LOG_LEVEL);
    Some(Log {
        format: format?.unwrap_or(default_format(sources.environment)),
        level: level?,
    })
}

fn default_format(environment: &Environment<'_>) -> LogFormat {
    match environment.stdout_is_terminal {
        true => LogFormat::Text,
        false => LogFormat::Json,
    }
}

/// `Some(None)` if traces are off, the default until an endpoint is set. Then no other trace setting is read: a platform sets OpenTelemetry's
/// variables for everything that runs there, and what is meant for another program is no error here.
fn tracing(sources: &mut Sources<'_>) -> Option<Option<Tracing>> {
    let full_url = sources.is_set(&settings::OTLP_TRACES_ENDPOINT);
    if !full_url && !sources.is_set(&settings::OTLP_ENDPOINT) {
        return Some(None);
    }
    let disabled = sources.read(&settings::OTEL_SDK_DISABLED)?;
    let exporter = sources.read(&settings::TRACES_EXPORTER)?;
    if disabled || !exporter {
        return Some(None);
    }
    let endpoint = match full_url {
        true => sources.read_set(&settings::OTLP_TRACES_ENDPOINT),
        false => sources.read_set(&settings::OTLP_ENDPOINT),
    };
    let protocol = sources.read(&settings::OTLP_PROTOCOL);
    let headers = sources.read_optional(&settings::OTLP_HEADERS);
    let gzip = sources.read(&settings::OTLP_COMPRESSION);
    let roots = roots(sources, &settings::OTLP_CERTIFICATE);
    let resource = sources.read_optional(&settings::OTEL_RESOURCE_ATTRIBUTES);
    let timeout = sources.read(&settings::OTLP_TIMEOUT);
    let sampling = sampling(sources);
    let queue = span_queue(sources);
    let service_name = sources.read_set(&settings::OTEL_SERVICE_NAME);
    let () = protocol?;
    let (certificate, roots) = roots?;
    let resource = resource?.unwrap_or_default();
    let attribute = resource.iter().find(|(key, _)| key == "service.name");
    let service_name = service_name.or_else(|| Some(attribute?.1.clone()));
    let default_name = settings::OTEL_SERVICE_NAME.shown_default();
    Some(Some(Tracing {
        endpoint: endpoint?,
        headers: headers?.unwrap_or_default(),
        timeout: timeout?,
        certificate,
        roots,
        gzip: gzip?,
        service_name: service_name.unwrap_or_else(|| default_name.to_owned()),
        resource,
        sampling: sampling?,
        queue: queue?,
    }))
}

fn sampling(sources: &mut Sources<'_>) -> Option<Sampling> {
    let sampler = sources.read(&settings::TRACES_SAMPLER);
    let share = sources.read(&settings::TRACES_SAMPLER_ARG)?;
    let (by_parent, implied) = sampler?;
    Some(Sampling {
        by_parent,
        share: implied.unwrap_or(share),
    })
}

fn span_queue(sources: &mut Sources<'_>) -> Option<SpanQueue> {
    let delay = sources.read(&settings::BSP_SCHEDULE_DELAY);
    let timeout = sources.read(&settings::BSP_EXPORT_TIMEOUT);
    let spans = sources.read(&settings::BSP_MAX_QUEUE_SIZE);
    let at_once = sources.read(&settings::BSP_MAX_EXPORT_BATCH_SIZE);
    let (spans, at_once) = (spans?, at_once?);
    if at_once > spans {
        let expected = "at most --bsp-max-queue-size";
        sources.error(&settings::BSP_MAX_EXPORT_BATCH_SIZE, expected);
        return None;
    }
    Some(SpanQueue {
        delay: delay?,
        spans,
        at_once,
        timeout: timeout?,
    })
}
