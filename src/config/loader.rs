//! Reads one setting after the other, and notes every fault on the way.
//!
//! In: what flags, environment and file say. Out: the valid [`Config`], or all faults, and the warnings with either: a method gives `None` where it noted
//! one, and no method stops for the `None` of another. Here is what the process has once; `workspace` reads what each
//! workspace has of its own, `given` finds a setting's text.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use super::certificates::Bundle;
use super::effective::Origins;
use super::file::File;
use super::values::{self, Expected};
use super::{
    Config, Drain, Fault, Log, LogFormat, Network, Rejected, Setting, Surroundings, Workspace,
    settings, variables,
};

/// A file of settings that is larger is none.
const LARGEST_FILE: usize = 1 << 20;

/// Collects faults while it reads; `None` from any of its methods means that a fault was noted.
pub(super) struct Reader<'a> {
    pub(super) flag: &'a dyn Fn(&Setting) -> Option<String>,
    pub(super) around: &'a Surroundings<'a>,
    pub(super) file: File,
    /// Which entry of the file's `workspaces` is being read.
    pub(super) entry: Option<usize>,
    pub(super) faults: Vec<Fault>,
    /// What is no fault and worth a word.
    pub(super) warnings: Vec<String>,
    /// Of which entries the region is that of their URL, and not the one that a variable names.
    pub(super) regions_of_urls: Vec<Option<usize>>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(
        flag: &'a dyn Fn(&Setting) -> Option<String>,
        around: &'a Surroundings<'a>,
    ) -> Self {
        Self {
            flag,
            around,
            file: File::default(),
            entry: None,
            faults: Vec::new(),
            warnings: variables::unknown(&around.variables),
            regions_of_urls: Vec::new(),
        }
    }

    pub(super) fn read(mut self) -> Result<Config, Rejected> {
        match self.config() {
            Some(config) if self.faults.is_empty() => Ok(Config {
                warnings: self.warnings,
                ..config
            }),
            _ => Err(Rejected {
                faults: self.faults,
                warnings: self.warnings,
            }),
        }
    }

    /// Every part is read before the first missing one ends it, so that all faults are named.
    fn config(&mut self) -> Option<Config> {
        self.file = self.file()?;
        let listen = self.listen();
        let allow_host = self.list(&settings::ALLOW_HOST, values::host_name);
        let admin_listen = self.parse(&settings::ADMIN_LISTEN, values::socket_address);
        let same =
            |(listen, _): &(SocketAddr, _)| listen.port() != 0 && Some(*listen) == admin_listen;
        if listen.as_ref().is_some_and(same) {
            self.fault(&settings::ADMIN_LISTEN, "another address than --listen");
        }
        let workspaces = self.workspaces();
        let extra_roots = self.extra_roots();
        let network = self.network();
        let drain = self.drain();
        let log = self.log();
        let sandbox = self.parse(&settings::SANDBOX, values::on_or_off);
        let tracing = self.tracing();
        let (listen, door) = listen?;
        Some(Config {
            file: self.given(&settings::CONFIG).map(PathBuf::from),
            listen,
            door,
            allow_host: allow_host?,
            admin_listen: admin_listen?,
            workspaces: workspaces?,
            ca_bundle: self.given(&settings::CA_BUNDLE).map(PathBuf::from),
            extra_roots: extra_roots?,
            network: network?,
            drain: drain?,
            log: log?,
            sandbox: sandbox?,
            tracing: tracing?,
            warnings: Vec::new(),
            origins: self.origins(),
        })
    }

    /// Of the process and of each workspace.
    fn origins(&mut self) -> Origins {
        let workspaces = (0..self.file.workspaces.len().max(1)).map(|n| {
            self.entry = (n < self.file.workspaces.len()).then_some(n);
            let of_url = self.regions_of_urls.contains(&self.entry);
            Origins::found(|setting| {
                let overruled = of_url && *setting == settings::REGION;
                self.origin(setting).filter(|_| !overruled)
            })
        });
        let workspaces = workspaces.collect();
        self.entry = None;
        Origins {
            process: Origins::found(|setting| self.origin(setting)),
            workspaces,
        }
    }

    /// The file whose form is right; nothing else is worth reading where it is not.
    fn file(&mut self) -> Option<File> {
        if self.given(&settings::CONFIG).is_none() {
            return Some(File::default());
        }
        let text = self.parse_given(&settings::CONFIG, |path| {
            let bytes = std::fs::read(path)
                .map_err(|error| Expected(format!("a readable YAML file ({error})")))?;
            if bytes.len() > LARGEST_FILE {
                return Err(Expected("a YAML file of at most 1 MiB".into()));
            }
            String::from_utf8(bytes).map_err(|_| Expected("a YAML file in UTF-8".into()))
        })?;
        let path = self.given(&settings::CONFIG)?;
        match File::parse(&path, &text) {
            Ok(file) => Some(file),
            Err(rejected) => {
                self.faults.extend(rejected.faults);
                None
            }
        }
    }

    /// One for each entry of the file, or one without.
    fn workspaces(&mut self) -> Option<Vec<Workspace>> {
        let entries = match self.file.workspaces.len() {
            0 => vec![None],
            several => (0..several).map(Some).collect(),
        };
        let read: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                self.entry = entry;
                self.workspace()
            })
            .collect();
        self.distinct(&read);
        self.entry = None;
        read.into_iter().collect()
    }

    /// Paths name a workspace by name or id, so no two may share one.
    fn distinct(&mut self, workspaces: &[Option<Workspace>]) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (n, workspace) in workspaces.iter().enumerate() {
            let Some(workspace) = workspace else { continue };
            self.entry = Some(n);
            for key in [&workspace.id, &workspace.name] {
                let before = *seen.entry(key).or_insert(n);
                if before != n {
                    let what = format!("another name and id than those of workspaces[{before}]");
                    self.fault_of_name(key, &what);
                    break;
                }
            }
        }
    }

    fn extra_roots(&mut self) -> Option<Vec<CertificateDer<'static>>> {
        self.roots(&settings::CA_BUNDLE)
    }

    /// What a file of certificates holds; none where none is named.
    pub(super) fn roots(&mut self, setting: &Setting) -> Option<Vec<CertificateDer<'static>>> {
        if self.given(setting).is_none() {
            return Some(Vec::new());
        }
        let bundle = self.parse_given(setting, |path| {
            Bundle::read(Path::new(path)).map_err(Expected)
        })?;
        for words in &bundle.skipped {
            self.warn(setting, words);
        }
        Some(bundle.certificates)
    }

    fn network(&mut self) -> Option<Network> {
        if self.given(&settings::HTTPS_PROXY).is_none() {
            return Some(Network::default());
        }
        let exceptions = self.given(&settings::NO_PROXY).unwrap_or_default();
        let network = self.parse_given(&settings::HTTPS_PROXY, |url| {
            Network::through(url, &exceptions)
        })?;
        for words in network.ignored() {
            self.warn(&settings::NO_PROXY, words);
        }
        Some(network)
    }

    fn drain(&mut self) -> Option<Drain> {
        let idle = self.parse(&settings::DRAIN_IDLE, values::duration);
        let timeout = self.parse(&settings::DRAIN_TIMEOUT, values::duration);
        Some(Drain {
            idle: idle?,
            timeout: timeout?,
        })
    }

    fn log(&mut self) -> Option<Log> {
        let by_terminal = if self.around.stdout_is_terminal {
            LogFormat::Text
        } else {
            LogFormat::Json
        };
        let format = match self.given(&settings::LOG_FORMAT) {
            None => Some(by_terminal),
            Some(_) => self.parse_given(&settings::LOG_FORMAT, |text| match text {
                "json" => Ok(LogFormat::Json),
                "text" => Ok(LogFormat::Text),
                _ => Err(Expected("json or text".into())),
            }),
        };
        let level = self.parse(&settings::LOG_LEVEL, |text| {
            text.parse()
                .map_err(|_| Expected("error, warn, info, debug or trace".into()))
        });
        Some(Log {
            format: format?,
            level: level?,
        })
    }
}
