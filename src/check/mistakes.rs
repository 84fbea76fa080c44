//! Every mistake that `check` knows: what was done, what one sees of it, and the mend.
//!
//! The one table of them: the walk names its rows, the tests make each mistake and look for its row, and `docs/mistakes.md` is
//! printed from it. What Entra ID refuses has its own table beside the code that meets it, and joins this one.
//!
//! Where a peer does not say which of several mistakes it was (STS says the same of a missing role and of a trust policy that
//! does not fit), the walk names all rows that it may be.

use crate::credentials::entra;

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mistake {
    /// Its name, for scripts.
    pub id: &'static str,
    /// What was done.
    pub wrong: &'static str,
    /// A piece of what the step says then, to the letter.
    pub sees: &'static str,
    /// What to do.
    pub mend: &'static str,
}

macro_rules! mistakes {
    ($($name:ident: $id:literal, $wrong:literal, $sees:literal, $mend:literal;)*) => {
        $(#[doc = $wrong] pub const $name: Mistake = Mistake { id: $id, wrong: $wrong, sees: $sees, mend: $mend };)*
        const TABLE: &[Mistake] = &[$($name),*];
    };
}

mistakes! {
    SETTING: "setting", "A setting is missing, misspelt, or contradicts another",
        "expected", "set what the line names; `amp-sidecar config` prints what counts, and where";
    WRITE_URL_SLASH: "write-url-slash", "The remote-write URL ends in a slash",
        "without a slash at its end", "remove the slash: to AMP it is another path, which it answers with 403 Missing Authentication Token";
    TOKEN_PASTED: "token-pasted", "The token itself stands where its path belongs",
        "a path, not the token itself", "write the token to a file and name that; who could read the setting has seen the token";
    ENTRA_SCOPE: "entra-scope", "The scope for Entra ID lacks /.default",
        "ends in /.default", "add /.default to the App ID URI of the application that stands for AWS";

    TOKEN_MISSING: "token-missing", "The projected volume is not mounted in this container, or the path is another",
        "No such file or directory", "mount the projected volume in this container too, and name mountPath and the token's path in the volume";
    TOKEN_FOLDER: "token-folder", "The path names the volume, not the file in it",
        "Is a directory", "add the file's name, which is the path of serviceAccountToken in the volume";
    TOKEN_DENIED: "token-denied", "The container's user may not read the token",
        "Permission denied", "set the pod's securityContext.fsGroup, so that kubelet gives the token to that group";
    TOKEN_EMPTY: "token-empty", "The token's file is empty",
        "is empty", "project the token by a serviceAccountToken source; on a laptop see that kubectl create token did not fail";
    TOKEN_MALFORMED: "token-malformed", "The file holds something else than a token, or half of one",
        "does not hold a JSON web token", "name the file that kubelet writes; on a laptop write the whole output of kubectl create token to it";
    TOKEN_NOT_RENEWED: "token-not-renewed", "The token is a copy, or mounted by subPath",
        "nobody renews it", "mount the projected volume as a folder, without subPath; for a look from a laptop a copy will do until it expires";
    TOKEN_EXPIRED: "token-expired", "The token was not renewed",
        "expired", "see that this container reads the file that kubelet renews (no subPath, no copy); on a laptop run kubectl create token again";
    TOKEN_EARLY: "token-early", "The token is not valid yet, or this machine's clock is behind",
        "not valid before", "put the clocks of this machine and of the cluster's API server right";
    TOKEN_NO_AUDIENCE: "token-no-audience", "The token has no audience",
        "no aud", "project the token with audience: sts.amazonaws.com (kubectl create token --audience sts.amazonaws.com)";
    TOKEN_AUDIENCE: "token-audience", "The token is for somebody else",
        "Incorrect token audience", "project the token with audience: sts.amazonaws.com (kubectl create token --audience sts.amazonaws.com)";
    PROVIDER_AUDIENCE: "provider-audience", "IAM's OIDC provider does not list the token's audience",
        "Incorrect token audience", "add it: aws iam add-client-id-to-open-id-connect-provider, with --client-id as the token says";
    ISSUER_LETTER: "issuer-letter", "The token's iss is not the issuer's own name to the letter",
        "names another issuer", "take the issuer from its discovery document everywhere, the slash at its end included; on AKS it has one";
    ISSUER_UNREACHABLE: "issuer-unreachable", "AWS cannot read the issuer's discovery document or keys",
        "Couldn't retrieve verification key", "publish both on the internet over https with a public certificate, quicker than 5 s; on AKS enable the OIDC issuer";
    ISSUER_SILENT: "issuer-silent", "Nobody answers at the issuer's address",
        "Error communicating with your identity provider", "see that the issuer's address can be reached from the internet; it often passes by itself";
    ISSUER_INTERNAL: "issuer-internal", "The cluster has no issuer that AWS can reach",
        "inside the cluster", "give the cluster a public issuer: on AKS az aks update --enable-oidc-issuer, elsewhere kube-apiserver's --service-account-issuer";
    KEY_UNKNOWN: "key-unknown", "The issuer does not publish the key that the token is signed with",
        "no key", "name a token of this cluster; after a rotation of keys wait until the issuer publishes the new one";
    PROVIDER_MISSING: "provider-missing", "The role's account has no OIDC provider for the issuer, or the role ARN names another account",
        "No OpenIDConnect provider found", "check the account in --role-arn, and create the provider in it: aws iam create-open-id-connect-provider";
    PROVIDER_SLASH: "provider-slash", "IAM's OIDC provider was created without the slash at the issuer's end",
        "No OpenIDConnect provider found", "create it anew with the URL to the letter, the slash at its end included: a provider's URL cannot be changed";

    NAME_UNRESOLVED: "name-unresolved", "The endpoint's host does not exist, or DNS does not work here",
        "was not resolved", "check region and endpoint, and that this pod's DNS resolves names of the internet or of the private zone";
    CONNECTION_REFUSED: "connection-refused", "Nobody takes the connection: a wrong port, a firewall or a network policy",
        "connection to", "let this pod out to port 443 of the endpoint (network policy, firewall, route), or set --https-proxy";
    CONNECTION_SILENT: "connection-silent", "Connections to the endpoint are swallowed by a firewall or a network policy",
        "no connection to", "let this pod out to port 443 of the endpoint (network policy, firewall, route), or set --https-proxy";
    TLS_AUTHORITY: "tls-authority", "The endpoint's certificate is signed by an authority that is not trusted here",
        "UnknownIssuer", "if a proxy or a private endpoint of yours signs it, name its root in --ca-bundle; otherwise somebody is in between";
    TLS_NAME: "tls-name", "The certificate is for another name",
        "not valid for name", "name the endpoint by a host that its certificate lists";
    TLS_EXPIRED: "tls-expired", "The certificate is expired, or this machine's clock is wrong",
        "certificate expired", "renew the certificate, or put the clock right";
    TLS_FOREIGN: "tls-foreign", "Something that speaks no TLS answers at the endpoint, or breaks it on the way",
        "TLS with", "check scheme and port of the endpoint, and that no firewall in between opens TLS";
    PROXY: "proxy", "The proxy is not there, or does not let this through",
        "proxy http", "check --https-proxy with its user and password, and let the proxy allow the endpoints; --no-proxy names what needs none";
    CLOCK: "clock", "This machine's clock is wrong",
        "this machine's clock is", "put the node's clock right (NTP): the sidecar corrects its own signatures, but nothing else does, and samples bear wrong times";
    REGION_DISABLED: "region-disabled", "STS is turned off in this region for the account",
        "RegionDisabledException", "turn the region on in IAM's account settings, or set --sts-region to one that is on";

    ROLE_MISSING: "role-missing", "The role does not exist, or its name or path is misspelt",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity", "check that it is there: aws iam get-role; a path is part of the ARN";
    TRUST_SUBJECT: "trust-subject", "The trust policy names another service account or namespace",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity", "let the condition on :sub be the token's sub to the letter; case counts";
    TRUST_AUDIENCE: "trust-audience", "The trust policy asks for another audience",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity", "let the condition on :aud be the token's audience; where the token has azp, :aud means azp and :oaud the audience";
    TRUST_ISSUER: "trust-issuer", "The trust policy's condition keys or its principal lack the slash at the issuer's end",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity", "write the issuer's host and path to the letter before :sub and :aud, the slash included, as ISSUER/:sub";
    SESSION_TOO_LONG: "session-too-long", "The session is asked for longer than the role allows",
        "MaxSessionDuration", "lower --session-duration, or raise the role's maximum: aws iam update-role --max-session-duration";
    STS_TROUBLE: "sts-trouble", "STS throttles, or has trouble of its own",
        "STS refused (", "try again: it passes by itself, and the running sidecar tries on";
    STS_REFUSAL: "sts-refusal", "STS refuses for another reason",
        "STS refused (", "its own words say what it asks for";
    STS_FOREIGN: "sts-foreign", "Something else than STS answers at its address",
        "cannot be used", "check --sts-endpoint, and whether a proxy in between answers in its place";

    ENTRA_UNREACHED: "entra-unreached", "Entra ID cannot be reached, or something else answers in its place",
        "Entra could not be reached", "let this pod out to the host of --azure-authority-host, or set --https-proxy";

    HOP_MISSING: "hop-missing", "The next role does not exist, or its name or path is misspelt",
        "is not authorized to perform: sts:AssumeRole", "check that it is there, in its account: aws iam get-role";
    HOP_TRUST: "hop-trust", "The next role does not trust the one before",
        "is not authorized to perform: sts:AssumeRole", "let its trust policy allow sts:AssumeRole to the role before, as Principal AWS";
    HOP_EXTERNAL_ID: "hop-external-id", "The next role asks for another external id",
        "is not authorized to perform: sts:AssumeRole", "ask its owner for the external id and add it: --assume-role ARN,external-id=ID";
    HOP_PERMISSION: "hop-permission", "The role before may not assume the next one",
        "is not authorized to perform: sts:AssumeRole", "give the role before a policy that allows sts:AssumeRole on the next role's ARN";

    WORKSPACE_UNKNOWN: "workspace-unknown", "The workspace does not exist in this region",
        "AMP does not know the workspace", "compare --workspace-id and --region with: aws amp list-workspaces --region REGION";
    REGION_WRONG: "region-wrong", "The signature is for another region than the endpoint's",
        "scoped to a valid region", "set --region to the region that the workspace is in";
    ROLE_PERMISSION: "role-permission", "The role may not write to the workspace",
        "the role needs aps:RemoteWrite", "attach the policy below to the role, or AWS' AmazonPrometheusRemoteWriteAccess; check the workspace id, since a policy hides a wrong one";
    AMP_CREDENTIALS: "amp-credentials", "AMP does not take the session or the signature",
        "AMP does not take the credentials", "check that role, STS and workspace are of one partition, and that no proxy changes headers";
    AMP_TROUBLE: "amp-trouble", "AMP throttles, or has trouble of its own",
        "AMP is failing", "try again: it passes by itself, and the running sidecar has the senders come again";
    AMP_REFUSAL: "amp-refusal", "AMP refuses for another reason, or something else answers in its place",
        "unexpected answer", "its own words say what it asks for; see whether a proxy in between answers";

    PROMETHEUS_FILE: "prometheus-file", "The file of --prometheus-config is none, or has no remote_write",
        "prometheus configuration", "name Prometheus' own file, and add remote_write with the URL of this sidecar";
    PROMETHEUS_DIRECT: "prometheus-direct", "Prometheus writes straight to AMP, past the sidecar",
        "leads to AMP itself", "let url be that of this sidecar, which signs and forwards";
    PROMETHEUS_ELSEWHERE: "prometheus-elsewhere", "No remote_write of Prometheus leads to this sidecar",
        "leads to this sidecar", "let url be that of this sidecar: http, the address of --listen, and a path that it serves";
    PROMETHEUS_PATH: "prometheus-path", "Prometheus writes to a path that the sidecar does not serve",
        "is not served", "write to /api/v1/remote_write, or with several workspaces to /workspaces/NAME/api/v1/remote_write";
    PROMETHEUS_SIGV4: "prometheus-sigv4", "Prometheus signs or authenticates for itself beside the sidecar",
        "stands beside the sidecar's url", "remove it: the sidecar signs, and Prometheus would look for AWS credentials that it does not have";
    PROMETHEUS_TIMEOUT: "prometheus-timeout", "Prometheus gives up before the sidecar does",
        "is not above --upstream-timeout", "let remote_timeout be longer than --upstream-timeout: what AMP takes after that is sent twice";
    PROMETHEUS_QUEUE: "prometheus-queue", "A shard's queue is too short for one request",
        "capacity", "let capacity be 3 to 10 times max_samples_per_send";
}

/// The whole table, what Entra ID refuses included.
pub fn all() -> impl Iterator<Item = Mistake> {
    TABLE.iter().copied().chain(entra_refusals())
}

/// What Entra ID refuses, by the names that metrics have.
fn entra_refusals() -> impl Iterator<Item = Mistake> {
    entra::known().map(|known| Mistake {
        id: known.label,
        wrong: known.wrong,
        sees: known.wrong,
        mend: known.mend,
    })
}

/// The row of a refusal of Entra ID, by its name.
pub(super) fn of_entra(name: &str) -> Option<Mistake> {
    entra_refusals().find(|mistake| mistake.id == name)
}

/// `docs/mistakes.md`, which a test holds against this.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Mistakes and how to fix them\n\
         For anyone debugging an installation: every mistake that `amp-sidecar check` names, and what to do about it.\n\n\
         This page is printed from the table in `src/check/mistakes.rs`, and a test makes each mistake. Where STS gives the same\n\
         answer for several mistakes, `check` lists them all, with the trust policy that the token at hand needs.\n\n\
         | name | mistake | what you see | what to do |\n|---|---|---|---|\n",
    );
    for Mistake {
        id,
        wrong,
        sees,
        mend,
    } in all()
    {
        page.push_str(&format!("| `{id}` | {wrong} | {sees} | {mend} |\n"));
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_the_page_is_the_table() {
        let mut seen = HashSet::new();
        assert!(all().all(|mistake| seen.insert(mistake.id)));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mistakes.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        if written != page() {
            let printed = std::env::temp_dir().join("mistakes.md");
            std::fs::write(&printed, page()).unwrap();
            panic!(
                "docs/mistakes.md differs from the table; it is printed to {}",
                printed.display()
            );
        }
    }
}
