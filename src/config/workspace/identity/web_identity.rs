//! Reads the token's source, and the role that the token is exchanged for.
//!
//! Azure's webhook injects `AZURE_…` variables into every labelled pod, so with the token source `file` they are ignored.

use super::session;
use crate::config::model::{EntraConfig, TokenConfig, TokenKind, WebIdentityConfig};
use crate::config::other_credentials;
use crate::config::settings;
use crate::config::sources::Sources;

/// `name` is the session's.
pub(super) fn read(sources: &mut Sources<'_>, name: &str) -> Option<WebIdentityConfig> {
    let role_arn = role_arn(sources);
    let token = token(sources);
    Some(WebIdentityConfig {
        role: session::plain(role_arn?, None, name),
        token: token?,
    })
}

/// Those who have set other credentials may take them for enough.
fn role_arn(sources: &mut Sources<'_>) -> Option<String> {
    let others: Vec<_> = other_credentials::found(sources.environment.env).collect();
    if sources.is_set(&settings::ROLE_ARN) {
        for (kind, variable) in others {
            let words = format!("{kind} are not used: the role of --role-arn signs");
            sources.warn_of_variable(variable, &words);
        }
        return sources.read_set(&settings::ROLE_ARN);
    }
    let mut expected = "the ARN of the role to assume".to_owned();
    if !others.is_empty() {
        let others = others
            .iter()
            .map(|(kind, variable)| format!("{kind} ({variable})"));
        let others: Vec<String> = others.collect();
        expected = format!(
            "{expected} with the pod's projected token (`amp-sidecar setup aws` prints how to create it); set but not supported: {}",
            others.join(", ")
        );
    }
    sources.error(&settings::ROLE_ARN, &expected);
    None
}

fn token(sources: &mut Sources<'_>) -> Option<TokenConfig> {
    match sources.read(&settings::TOKEN_SOURCE)? {
        TokenKind::File => file(sources),
        TokenKind::Entra => entra(sources).map(TokenConfig::Entra),
    }
}

fn file(sources: &mut Sources<'_>) -> Option<TokenConfig> {
    let expected = "no value, or --token-source entra as well";
    sources.refuse(&settings::AZURE_FEDERATED_TOKEN_FILE, expected);
    sources.refuse(&settings::AZURE_CLIENT_ID, expected);
    sources.refuse(&settings::AZURE_TENANT_ID, expected);
    sources.refuse(&settings::AZURE_AUTHORITY_HOST, expected);
    if sources.is_set_here(&settings::ENTRA_SCOPE) {
        sources.error(&settings::ENTRA_SCOPE, expected);
    }
    let expected = "the path of the projected service-account token";
    let file = sources.read_required(&settings::WEB_IDENTITY_TOKEN_FILE, expected);
    file.map(TokenConfig::File)
}

fn entra(sources: &mut Sources<'_>) -> Option<EntraConfig> {
    let expected = "no value: --token-source entra reads --azure-federated-token-file instead";
    sources.refuse(&settings::WEB_IDENTITY_TOKEN_FILE, expected);
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
