//! A world to rehearse an installation in: an AWS account without provider and role, a tenant without application, and everything under its real
//! name behind a proxy.
//!
//! In: [`WorldConfig::rehearsal`]. Out: a world in which nothing works until somebody has made, with the tools that they would use in the cloud,
//! what `amp-sidecar setup` prints. What they made is what STS, Entra ID and AMP judge by.

use std::net::SocketAddr;
use std::time::Duration;

use super::config::WorldConfig;
use super::error::Error;
use crate::account_admin::AccountAdmin;
use crate::amp::Amp;
use crate::clock::Clock;
use crate::entra::{EntraConfig, PUBLIC_CLOUD};
use crate::names::{NameProxy, Names};
use crate::sessions::{Session, Sessions};
use crate::sts::account::AccountBook;

const ISSUER_HOST: &str = "eastus.oic.prod-aks.azure.com";
const IAM_HOST: &str = "iam.amazonaws.com";
/// As long as any session of AWS.
const ADMINISTRATOR_FOR: Duration = Duration::from_secs(12 * 3600);

/// Where a rehearsal's hosts are really served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) issuer: SocketAddr,
    pub(super) entra: SocketAddr,
    pub(super) sts: SocketAddr,
    pub(super) amp: SocketAddr,
    pub(super) iam: SocketAddr,
}

/// What is there for the rehearsal alone.
#[derive(Debug)]
pub(super) struct Rehearsal {
    proxy: NameProxy,
    administrator: Session,
}

// === impl WorldConfig ===

impl WorldConfig {
    /// A world to rehearse an installation in.
    #[must_use]
    pub fn rehearsal() -> Self {
        let mut config = Self {
            rehearsal: true,
            role_may_write: false,
            entra: Some(EntraConfig::without_applications()),
            sts_https: true,
            issuer_https: true,
            ..Self::default()
        };
        config.amp.region = "eu-central-1".to_owned();
        config
    }

    /// The hosts of a rehearsal, and where each is served.
    pub(super) fn hosts(&self, at: Places) -> Names {
        let region = &self.amp.region;
        [
            (ISSUER_HOST.to_owned(), at.issuer),
            (host_of(PUBLIC_CLOUD), at.entra),
            ("sts.windows.net".to_owned(), at.entra),
            ("sts.amazonaws.com".to_owned(), at.sts),
            (format!("sts.{region}.amazonaws.com"), at.sts),
            (format!("aps-workspaces.{region}.amazonaws.com"), at.amp),
            (IAM_HOST.to_owned(), at.iam),
        ]
        .into_iter()
        .collect()
    }

    pub(super) fn issuer_origin(&self, served_at: String) -> String {
        if self.rehearsal {
            format!("https://{ISSUER_HOST}")
        } else {
            served_at
        }
    }

    pub(super) fn entra_origin(&self, served_at: String) -> String {
        if self.rehearsal {
            PUBLIC_CLOUD.trim_end_matches('/').to_owned()
        } else {
            served_at
        }
    }

    fn administrator(&self) -> String {
        self.arn(&self.amp.account, "Administrator")
    }
}

// === impl Rehearsal ===

impl Rehearsal {
    /// Starts the proxy, and makes the session that may change the account.
    pub(super) async fn start(
        config: &WorldConfig,
        names: Names,
        sessions: &Sessions,
        clock: &Clock,
    ) -> Result<Self, Error> {
        let address = SocketAddr::from((config.listen, 0));
        let proxy = NameProxy::start(address, names).await;
        let administrator = config.administrator();
        Ok(Self {
            proxy: proxy.map_err(|source| Error::Bind { port: 0, source })?,
            administrator: sessions.issue(
                &administrator,
                "rehearsal",
                ADMINISTRATOR_FOR,
                clock.now(),
            ),
        })
    }

    /// What leads every program here, as an administrator of the account.
    pub(super) fn environment(&self, ca_file: String) -> Vec<(&'static str, String)> {
        let session = &self.administrator;
        vec![
            ("HTTPS_PROXY", format!("http://{}", self.proxy.address())),
            ("AWS_CA_BUNDLE", ca_file),
            ("AWS_ACCESS_KEY_ID", session.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", session.secret_access_key.clone()),
            ("AWS_SESSION_TOKEN", session.session_token.clone()),
        ]
    }
}

/// IAM's API over this world's account.
pub(super) fn account_admin(
    config: &WorldConfig,
    accounts: AccountBook,
    amp: Amp,
    sessions: Sessions,
    clock: Clock,
) -> AccountAdmin {
    AccountAdmin::new(accounts, config.administrator(), amp, sessions, clock)
}

fn host_of(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.trim_end_matches('/').to_owned()
}
