//! What both the world's owner and the admin endpoint may turn, in one place behind an `Arc`: neither has a control that
//! the other lacks.

use std::io;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::error::Error;
use super::target::Target;
use super::target_controls::TargetControls;
use super::workspace::Workspace;
use crate::amp::{Amp, AmpConfig};
use crate::anywhere::Anywhere;
use crate::call_log::CallLog;
use crate::clock::Clock;
use crate::credentials_file::CredentialsFile;
use crate::entra::{Application, Entra};
use crate::fault::Faults;
use crate::front::{Answers, Front};
use crate::issuer::{BrokenToken, Issuer, TokenSpec};
use crate::journal::Journal;
use crate::secrets::Secrets;
use crate::sessions::{SessionContext, Sessions};
use crate::sts::Sts;
use crate::tls::Certificates;
use crate::token_folder::TokenFolder;

/// What both the world's owner and the admin endpoint may turn.
#[derive(Debug)]
pub(crate) struct Controls {
    pub(crate) clock: Clock,
    pub(crate) sessions: Sessions,
    pub(crate) sts: Sts,
    pub(crate) certificates: Certificates,
    pub(super) issuer: Issuer,
    pub(super) amp: Amp,
    pub(super) entra: Option<Entra>,
    pub(crate) anywhere: Option<Anywhere>,
    pub(super) amp_config: AmpConfig,
    pub(super) tokens: TokenFolder,
    pub(super) secrets: Secrets,
    pub(super) token: TokenSpec,
    pub(super) targets: [TargetControls; 7],
    pub(super) credentials_file: CredentialsFile,
    pub(super) role_arn: String,
    pub(super) others: Vec<Workspace>,
}

// === impl Controls ===

impl Controls {
    pub(crate) fn faults(&self, target: Target) -> &Faults {
        &self.target(target).faults
    }

    /// The script of a target by its name, or of another workspace as `amp/<id>`.
    pub(crate) fn faults_named(&self, name: &str) -> Option<&Faults> {
        match name.strip_prefix("amp/") {
            Some(id) => self
                .others
                .iter()
                .find(|other| other.id() == id)
                .map(Workspace::faults),
            None => Target::named(name).map(|target| self.faults(target)),
        }
    }

    /// The AMP of a workspace by its id, or the first one.
    pub(crate) fn amp_of(&self, workspace: Option<&str>) -> Option<&Amp> {
        match workspace {
            None => Some(&self.amp),
            Some(id) if id == self.amp_config.workspace_id => Some(&self.amp),
            Some(id) => self
                .others
                .iter()
                .find(|other| other.id() == id)
                .map(Workspace::amp),
        }
    }

    pub(super) fn journal(&self, target: Target) -> &Journal {
        &self.target(target).journal
    }

    fn target(&self, target: Target) -> &TargetControls {
        let [issuer, sts, amp, entra, metadata, roles_anywhere, container] = &self.targets;
        match target {
            Target::Issuer => issuer,
            Target::Sts => sts,
            Target::Amp => amp,
            Target::Entra => entra,
            Target::Metadata => metadata,
            Target::RolesAnywhere => roles_anywhere,
            Target::Container => container,
        }
    }

    pub(super) fn front<T: Answers>(&self, at: Target, target: T) -> Front<T> {
        let by_aws = matches!(at, Target::Sts | Target::Amp | Target::RolesAnywhere);
        self.target(at).front(target, &self.clock, by_aws)
    }

    pub(crate) fn rotate_token(&self) -> Result<(), Error> {
        let token = self.issuer.mint(&self.token);
        self.publish(Some(token))
    }

    pub(crate) fn break_token(&self, how: BrokenToken) -> Result<(), Error> {
        let token = self.issuer.mint_broken(&self.token, how)?;
        self.publish(token)
    }

    fn publish(&self, token: Option<String>) -> Result<(), Error> {
        if let Some(token) = &token {
            self.secrets.note("token", token);
        }
        self.tokens
            .publish(token.as_deref().map(str::as_bytes), self.clock.now())
            .map_err(Error::Folder)
    }

    /// Writes keys of a new session of the role, which live as long as STS' sessions.
    pub(crate) fn rotate_credentials_file(&self) -> Result<(), Error> {
        // How an agent comes to its keys is its own affair.
        let (hour, context) = (Duration::from_secs(60 * 60), SessionContext::default());
        let session = self
            .sts
            .for_service(&self.role_arn, |_| true, "agent", hour, context);
        let session = session.ok_or_else(|| Error::Folder(io::Error::other("no such role")))?;
        self.credentials_file.write(&session).map_err(Error::Folder)
    }

    pub(crate) fn rotate_keys(&self) -> Result<(), Error> {
        Ok(self.issuer.rotate_keys()?)
    }

    /// Whether there is a Roles Anywhere whose certificate could be renewed.
    pub(crate) fn renew_certificate(&self) -> Result<bool, Error> {
        let Some(anywhere) = &self.anywhere else {
            return Ok(false);
        };
        anywhere.renew()?;
        Ok(true)
    }

    /// A good token for any service account.
    pub(crate) fn mint(&self, spec: &TokenSpec) -> String {
        let token = self.issuer.mint(spec);
        self.secrets.note("token", &token);
        token
    }

    /// Whether there is an Entra ID whose applications could be replaced.
    pub(crate) fn set_applications(&self, applications: Vec<Application>) -> bool {
        let known = self.entra.as_ref();
        known
            .map(|entra| entra.set_applications(applications))
            .is_some()
    }

    /// What a cluster and a tenant know of themselves.
    pub(crate) fn identity(&self) -> Value {
        json!({
            "issuer": self.issuer.url(),
            "tenant_id": self.entra.as_ref().map(|entra| entra.config().tenant_id.clone()),
        })
    }

    pub(crate) fn state(&self) -> Value {
        let others: Map<String, Value> = self
            .others
            .iter()
            .map(|other| {
                let stored = stored(&other.amp);
                let state = json!({"stored": stored, "amp": other.journal().counts()});
                (other.id().to_owned(), state)
            })
            .collect();
        let entra = self.entra.as_ref().map(Entra::calls);
        let anywhere = self.anywhere.as_ref().map(Anywhere::calls);
        json!({
            "clock_offset_seconds": self.clock.offset_seconds(),
            "tokens_published": self.tokens.swaps(),
            "sessions_issued": self.sts.calls().issued(),
            "sts_refused": self.sts.calls().refused(),
            "entra_tokens_issued": entra.map(CallLog::issued),
            "entra_refused": entra.map(CallLog::refused),
            "roles_anywhere_issued": anywhere.map(CallLog::issued),
            "roles_anywhere_refused": anywhere.map(CallLog::refused),
            "stored": stored(&self.amp),
            "issuer": self.journal(Target::Issuer).counts(),
            "sts": self.journal(Target::Sts).counts(),
            "amp": self.journal(Target::Amp).counts(),
            "entra": self.journal(Target::Entra).counts(),
            "metadata": self.journal(Target::Metadata).counts(),
            "roles_anywhere": self.journal(Target::RolesAnywhere).counts(),
            "container": self.journal(Target::Container).counts(),
            "others": others,
        })
    }
}

fn stored(amp: &Amp) -> Value {
    let stored = amp.store().stats();
    json!({
        "series": stored.series,
        "samples": stored.samples,
        "histograms": stored.histograms,
        "duplicates": stored.duplicates,
        "refused": stored.refused,
        "batches": stored.batches,
    })
}
