//! Reads the token's source, and the role that the token is exchanged for.
//!
//! Azure's webhook injects `AZURE_…` variables into every labelled pod, so with the token source `file` they are ignored.

use super::machine;
use crate::config::model::{EntraConfig, RoleSession, TokenConfig, TokenKind, WebIdentityConfig};
use crate::config::other_credentials::{self, KindOfCredentials};
use crate::config::settings::{self, Setting};
use crate::config::sources::Sources;

/// `name` is the session's.
pub(super) fn read(sources: &mut Sources<'_>, name: &str) -> Option<WebIdentityConfig> {
    let role_arn = role_arn(sources);
    let token = token(sources);
    Some(WebIdentityConfig {
        role: RoleSession::plain(role_arn?, Some(name.to_owned())),
        token: token?,
    })
}

/// Those who have set other credentials may take them for enough.
fn role_arn(sources: &mut Sources<'_>) -> Option<String> {
    let used = KindOfCredentials::WebIdentity;
    if sources.is_set(&settings::ROLE_ARN) {
        sources.warn_of_others(used, "the role of --role-arn signs");
        return sources.read_set(&settings::ROLE_ARN);
    }
    let others = other_credentials::found(sources.environment.env, used);
    let others: Vec<String> = others.map(|other| other.with_settings()).collect();
    let mut expected = "the ARN of the role to assume".to_owned();
    if !others.is_empty() {
        expected = format!(
            "{expected} with the pod's projected token (`amp-sidecar setup aws` prints how to create it); set but not used: {}",
            others.join(", ")
        );
    }
    sources.error(&settings::ROLE_ARN, &expected);
    None
}

fn token(sources: &mut Sources<'_>) -> Option<TokenConfig> {
    let kind = sources.read(&settings::TOKEN_SOURCE)?;
    refuse_what_is_for_others(sources, kind);
    match kind {
        TokenKind::File => {
            let expected = "the path of the projected service-account token";
            let file = sources.read_required(&settings::WEB_IDENTITY_TOKEN_FILE, expected);
            file.map(TokenConfig::File)
        }
        TokenKind::Entra => entra(sources).map(TokenConfig::Entra),
        TokenKind::AzureImds => machine::azure(sources).map(TokenConfig::AzureImds),
        TokenKind::GceMetadata => machine::google(sources).map(TokenConfig::GceMetadata),
    }
}

/// Settings that have no effect with this token.
fn refuse_what_is_for_others(sources: &mut Sources<'_>, kind: TokenKind) {
    use TokenKind::{AzureImds, Entra, File, GceMetadata};
    let users: [(&Setting, &[TokenKind]); 9] = [
        (&settings::WEB_IDENTITY_TOKEN_FILE, &[File]),
        (&settings::AZURE_FEDERATED_TOKEN_FILE, &[Entra]),
        (&settings::AZURE_CLIENT_ID, &[Entra, AzureImds]),
        (&settings::AZURE_TENANT_ID, &[Entra]),
        (&settings::AZURE_AUTHORITY_HOST, &[Entra]),
        (&settings::ENTRA_SCOPE, &[Entra]),
        (&settings::TOKEN_AUDIENCE, &[AzureImds, GceMetadata]),
        (&settings::AZURE_IMDS_ENDPOINT, &[AzureImds]),
        (&settings::GCE_METADATA_HOST, &[GceMetadata]),
    ];
    for (setting, users) in users {
        let names: Vec<&str> = users.iter().map(|user| user.name()).collect();
        let expected = format!(
            "no value with --token-source {}, or --token-source {} as well",
            kind.name(),
            names.join(" or ")
        );
        // Nothing but this program reads a variable of its own.
        let is_ours = setting
            .env
            .iter()
            .all(|name| name.starts_with("AMP_SIDECAR_"));
        if users.contains(&kind) {
            continue;
        } else if is_ours && sources.is_set_here(setting) {
            sources.error(setting, &expected);
        } else {
            sources.refuse(setting, &expected);
        }
    }
}

fn entra(sources: &mut Sources<'_>) -> Option<EntraConfig> {
    let token_file = sources.read_required(
        &settings::AZURE_FEDERATED_TOKEN_FILE,
        "the path of the projected token for Entra ID, which Azure's webhook sets in pods labelled azure.workload.identity/use: \"true\"",
    );
    let client_id = sources.read_required(
        &settings::AZURE_CLIENT_ID,
        "the client ID of the application or managed identity",
    );
    let tenant_id = sources.read_required(&settings::AZURE_TENANT_ID, "the ID of the Entra tenant");
    let authority_host = sources.read(&settings::AZURE_AUTHORITY_HOST);
    let scope = sources.read_required(
        &settings::ENTRA_SCOPE,
        "the App ID URI of the application that represents AWS, followed by /.default, for example api://amp/.default",
    );
    Some(EntraConfig {
        token_file: token_file?,
        authority_host: authority_host?,
        tenant_id: tenant_id?,
        client_id: client_id?,
        scope: scope?,
    })
}
