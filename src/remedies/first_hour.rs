//! The mistakes of the first hour, which `check` names.
//!
//! The tests make each mistake and look for its row. If a peer's message does not distinguish several mistakes (STS reports a missing role and a
//! mismatched trust policy alike), `check` lists all possible rows.

use super::row::rows;

rows! { #[cfg(any(test, feature = "internals"))] MISTAKES:
SETTING: "setting", "A setting is missing, misspelt or contradicts another",
    "expected", "correct each setting that is named, where it was set; what is expected stands with it";
WRITE_URL_SLASH: "write-url-slash", "The remote-write URL ends in a slash",
    "without a slash at its end", "remove the slash: AMP treats it as a different path and answers 403 Missing Authentication Token";
TOKEN_PASTED: "token-pasted", "The setting holds the token itself instead of its path",
    "a path, not the token itself", "write the token to a file and set its path; treat the token as leaked to everyone who could read the setting";
ENTRA_SCOPE: "entra-scope", "The scope for Entra ID lacks /.default",
    "ends in /.default", "append /.default to the App ID URI of the application that represents AWS";

TOKEN_MISSING: "token-missing", "The projected volume is not mounted in this container, or the path is wrong",
    "No such file or directory", "mount the projected volume in this container; the path is mountPath plus the token's path in the volume; on a VM, start what writes the file";
TOKEN_FOLDER: "token-folder", "The path is the volume, not the file in it",
    "Is a directory", "append the file name: the path of serviceAccountToken in the volume";
NOT_A_FILE: "not-a-file", "The path is a named pipe, a socket or a device, not a file",
    "not a regular file", "let the writer put a regular file at the path, and rename each new one into place: the file is read again and again, and what was read from a pipe is gone";
TOKEN_DENIED: "token-denied", "The container's user may not read the token",
    "Permission denied", "set securityContext.fsGroup of the pod: kubelet then gives that group read access to the token; on a VM, let the service's group read the file and its folder";
TOKEN_EMPTY: "token-empty", "The token's file is empty",
    "is empty", "project the token with a serviceAccountToken source; on a laptop check that kubectl create token succeeded";
TOKEN_MALFORMED: "token-malformed", "The file holds no token, or only part of one",
    "does not hold a JSON web token", "set the path of the file that kubelet writes; on a laptop write the whole output of kubectl create token to it";
TOKEN_NOT_RENEWED: "token-not-renewed", "The token is a copy or is mounted with subPath, so kubelet never refreshes it",
    "kubelet never refreshes it", "mount the projected volume as a folder, without subPath; on a VM, renew the file before it expires; for a test from a laptop a copy works until then";
TOKEN_EXPIRED: "token-expired", "The token has expired: the file is not refreshed",
    "expired", "let this container read the file that kubelet refreshes (no subPath, no copy); on a laptop run kubectl create token again";
TOKEN_EARLY: "token-early", "The token is not valid yet, or this machine's clock is behind",
    "not valid before", "correct the clocks of this machine and of the cluster's API server (NTP)";
TOKEN_NO_AUDIENCE: "token-no-audience", "The token has no audience",
    "no aud", "project the token with audience: sts.amazonaws.com (kubectl create token --audience sts.amazonaws.com)";
TOKEN_AUDIENCE: "token-audience", "The token is for another audience",
    "Incorrect token audience", "project the token with audience: sts.amazonaws.com (kubectl create token --audience sts.amazonaws.com)";
TOKEN_FOR_API_SERVER: "token-for-api-server", "The token is the one for the cluster's API server, which every pod has",
    "Incorrect token audience", "project a token of its own with audience: sts.amazonaws.com, and set its path; do not add the API server's audience to the OIDC provider: every pod's token would then be accepted";
PROVIDER_AUDIENCE: "provider-audience", "IAM's OIDC provider does not list the token's audience",
    "Incorrect token audience", "add it: aws iam add-client-id-to-open-id-connect-provider, with the token's aud as --client-id";
ISSUER_LETTER: "issuer-letter", "The token's iss differs from the issuer in its discovery document",
    "names another issuer", "use the issuer exactly as its discovery document has it, including a trailing slash; on AKS it has one";
ISSUER_FORBIDDEN: "issuer-forbidden", "The API server shows the issuer's documents only to known clients",
    "the response was 403", "let everybody read them, also AWS: kubectl create clusterrolebinding oidc-public --clusterrole=system:service-account-issuer-discovery --group=system:unauthenticated; or publish copies at the issuer's URL";
ISSUER_UNFIT: "issuer-unfit", "IAM cannot take the issuer: it has a port, a private address, no https, or is the URL of the discovery document",
    "IAM cannot take", "publish the issuer's discovery document and keys at a public https URL without a port (any web server or bucket will do) and make that URL the --service-account-issuer of kube-apiserver; or, where Entra ID can read the issuer, go through it: --token-source entra";
ISSUER_UNREACHABLE: "issuer-unreachable", "AWS cannot read the issuer's discovery document or keys",
    "Couldn't retrieve verification key", "publish both on the internet over https with a public certificate, answering within 5 s; on AKS enable the OIDC issuer";
ISSUER_SILENT: "issuer-silent", "The issuer does not answer AWS",
    "Error communicating with your identity provider", "make sure the issuer is reachable from the internet; it is often temporary";
ISSUER_INTERNAL: "issuer-internal", "The cluster has no issuer that AWS can reach",
    "inside the cluster", "give the cluster a public issuer: on AKS az aks update --enable-oidc-issuer, elsewhere --service-account-issuer of kube-apiserver";
KEY_UNKNOWN: "key-unknown", "The issuer does not publish the key that the token is signed with",
    "no key", "use a token of this cluster; after a key rotation wait until the issuer publishes the new key";
PROVIDER_MISSING: "provider-missing", "The role's account has no OIDC provider for the issuer, or the role ARN names another account",
    "No OpenIDConnect provider found", "check the account in --role-arn, and create the provider in it: aws iam create-open-id-connect-provider";
PROVIDER_SLASH: "provider-slash", "The IAM OIDC provider was created without the issuer's trailing slash",
    "No OpenIDConnect provider found", "recreate it with the exact URL including the trailing slash: the URL of a provider cannot be changed";
PROVIDER_THUMBPRINT: "provider-thumbprint", "The thumbprint in the OIDC provider is not that of the issuer's present certificate",
    "doesn't match configured thumbprint", "update it: aws iam update-open-id-connect-provider-thumbprint, with the SHA-1 fingerprint of the top CA certificate that the issuer's host sends (openssl s_client -showcerts, openssl x509 -fingerprint -sha1)";

NAME_UNRESOLVED: "name-unresolved", "The host of the endpoint does not exist, or DNS does not work in this pod",
    "was not resolved", "check region and endpoint, and that this pod resolves public names (or those of the private zone)";
CONNECTION_REFUSED: "connection-refused", "Connection refused: wrong port, firewall or network policy",
    "connection to", "allow egress from this pod to the address and port that the message names (network policy, firewall, route); or nothing listens there: check host and port of the endpoint; or set --https-proxy";
CONNECTION_SILENT: "connection-silent", "A firewall or network policy drops connections to the endpoint",
    "no connection to", "allow egress from this pod to host and port of the endpoint (network policy, firewall, route), or set --https-proxy";
TLS_AUTHORITY: "tls-authority", "The certificate of the endpoint is signed by an unknown CA: TLS is opened on the way",
    "UnknownIssuer", "if your own proxy, firewall or private endpoint signs it, add its root certificate to --ca-bundle; otherwise the connection is being intercepted";
TLS_NAME: "tls-name", "The certificate is for another host name",
    "not valid for name", "use a host name that the certificate lists";
TLS_EXPIRED: "tls-expired", "The certificate has expired, or this machine's clock is wrong",
    "certificate expired", "renew the certificate, or correct the clock";
TLS_FOREIGN: "tls-foreign", "The endpoint does not speak TLS, or TLS is broken on the way",
    "TLS with", "check scheme and port of the endpoint, and that no firewall intercepts TLS";
ANSWER_SWALLOWED: "answer-swallowed", "The connection opens, but no answer comes over it",
    "did not answer within 5 s", "it may be temporary; if it lasts, something in between swallows requests or answers: look at the proxy, firewall or service mesh on the way, and try a smaller MTU";
PROXY: "proxy", "The proxy is unreachable or refuses the connection",
    "proxy http", "check --https-proxy with user and password, and allow the endpoints in the proxy; --no-proxy lists hosts that need no proxy";
CLOCK: "clock", "This machine's clock is wrong",
    "this machine's clock is", "correct the clock of the node (NTP): the sidecar corrects its own signatures, but samples still carry wrong timestamps";
REGION_DISABLED: "region-disabled", "STS is disabled in this region for the account",
    "RegionDisabledException", "enable the region in the account settings of IAM, or set --sts-region to an enabled one";

ROLE_MISSING: "role-missing", "The role does not exist, or its name or path is misspelt",
    "Not authorized to perform sts:AssumeRoleWithWebIdentity", "check that it exists: aws iam get-role; a path is part of the ARN";
SUBJECT_DEFAULT: "subject-default", "The token is that of the namespace's default service account",
    "Not authorized to perform sts:AssumeRoleWithWebIdentity", "set serviceAccountName of the pod to the service account that the role trusts; do not trust the default one: every pod of the namespace that names none has it";
TRUST_SUBJECT: "trust-subject", "The trust policy names another service account or namespace",
    "Not authorized to perform sts:AssumeRoleWithWebIdentity", "set the condition on :sub to exactly the token's sub; it is case-sensitive";
TRUST_AUDIENCE: "trust-audience", "The trust policy requires another audience",
    "Not authorized to perform sts:AssumeRoleWithWebIdentity", "set the condition on :aud to the token's audience; where the token has azp, :aud means azp and :oaud the audience";
TRUST_ISSUER: "trust-issuer", "The condition keys or the principal of the trust policy lack the issuer's trailing slash",
    "Not authorized to perform sts:AssumeRoleWithWebIdentity", "use the issuer's exact host and path before :sub and :aud, including the trailing slash: ISSUER/:sub";
SESSION_TOO_LONG: "session-too-long", "The requested session is longer than the role allows",
    "MaxSessionDuration", "lower --session-duration, or raise the role's maximum: aws iam update-role --max-session-duration";
STS_TROUBLE: "sts-trouble", "STS throttles or is failing",
    "STS refused (", "none needed: it is temporary, and the running sidecar retries";
STS_REFUSAL: "sts-refusal", "STS refuses for another reason",
    "STS refused (", "see the message of STS";
STS_FOREIGN: "sts-foreign", "Something other than STS answers at its address",
    "cannot be used", "check --sts-endpoint, and whether a proxy, firewall or captive portal answers instead of STS";

ENTRA_FOREIGN: "entra-foreign", "Something other than Entra ID answers",
    "the response of Entra", "check --azure-authority-host, and whether a proxy, firewall or captive portal answers instead of Entra ID";
ENTRA_REFUSAL: "entra-refusal", "Entra ID refuses for another reason",
    "Entra refused (", "see the message of Entra ID; its trace id and correlation id are what Azure support asks for";

HOP_MISSING: "hop-missing", "The next role does not exist, or its name or path is misspelt",
    "is not authorized to perform: sts:AssumeRole", "check that it exists in its account: aws iam get-role";
HOP_TRUST: "hop-trust", "The next role does not trust the previous one",
    "is not authorized to perform: sts:AssumeRole", "allow sts:AssumeRole to the previous role in its trust policy, as Principal AWS";
HOP_EXTERNAL_ID: "hop-external-id", "The next role requires another external id",
    "is not authorized to perform: sts:AssumeRole", "ask its owner for the external id and add it: --assume-role ARN,external-id=ID";
HOP_PERMISSION: "hop-permission", "The previous role may not assume the next one",
    "is not authorized to perform: sts:AssumeRole", "give the previous role a policy that allows sts:AssumeRole on the ARN of the next role";

WORKSPACE_UNKNOWN: "workspace-unknown", "The workspace does not exist in this region",
    "AMP does not know the workspace", "compare --workspace-id and --region with: aws amp list-workspaces --region REGION";
REGION_WRONG: "region-wrong", "The signature is for another region than the endpoint",
    "scoped to a valid region", "set --region to the region of the workspace";
AMP_PATH: "amp-path", "AMP has no such path: it is misspelt, or ends in a slash",
    "Missing Authentication Token", "set the path of --remote-write-url to /workspaces/WORKSPACE-ID/api/v1/remote_write, without a slash at its end; if it is that, a proxy changes the path or removes the header Authorization";
AMP_CREDENTIALS: "amp-credentials", "AMP rejects the session or the signature",
    "AMP does not take the credentials", "if the keys come from a file, an agent or the environment (--credentials file or container, --allow-static-keys), check that they are right and not expired: whatever rotates them may have stopped replacing them; else check that role, STS and workspace are in one partition; and that no proxy changes headers";

PROMETHEUS_FILE: "prometheus-file", "The file of --prometheus-config is not a Prometheus configuration, or has no remote_write",
    "prometheus configuration", "use the configuration file of Prometheus, and add remote_write with the URL of this sidecar";
PROMETHEUS_DIRECT: "prometheus-direct", "Prometheus writes directly to AMP, bypassing the sidecar",
    "points to AMP itself", "set url to that of this sidecar, which signs and forwards";
PROMETHEUS_ELSEWHERE: "prometheus-elsewhere", "No remote_write of Prometheus points to this sidecar",
    "points to this sidecar", "set url to that of this sidecar: http, the address of --listen, and a path that it serves";
PROMETHEUS_PATH: "prometheus-path", "Prometheus writes to a path that the sidecar does not serve",
    "is not served", "write to /api/v1/remote_write, or with several workspaces to /workspaces/NAME/api/v1/remote_write";
PROMETHEUS_URL: "prometheus-url", "The url of remote_write is missing or is no URL",
    "url ", "set url to that of this sidecar, with its scheme";
PROMETHEUS_SCHEME: "prometheus-scheme", "The url has another scheme than the sidecar serves",
    "but the sidecar serves", "write http:// unless the sidecar has --listen-tls-cert, then https://";
PROMETHEUS_PORT: "prometheus-port", "Prometheus writes to another port than that of --listen",
    "port", "set the port of --listen (8005 unless set); --admin-listen (8006) is for probes, metrics and the status page";
PROMETHEUS_SIGV4: "prometheus-sigv4", "Prometheus signs or authenticates by itself as well",
    "is set besides the sidecar's url", "remove it: the sidecar signs; Prometheus has no AWS credentials";
PROMETHEUS_PROXY: "prometheus-proxy", "Prometheus sends to a proxy, not to the sidecar",
    "instead of the sidecar", "remove proxy_url and proxy_from_environment from this entry, or add the sidecar's host to no_proxy (NO_PROXY): a proxy cannot reach this pod's loopback";
PROMETHEUS_HEADERS: "prometheus-headers", "Prometheus sends a header that only browsers send",
    "is refused as a browser's", "remove it from headers: until then every batch gets 503";
PROMETHEUS_TIMEOUT: "prometheus-timeout", "Prometheus times out before the sidecar does",
    "is not above --upstream-timeout", "set remote_timeout longer than --upstream-timeout: Prometheus sends a batch again while AMP may still store it";
PROMETHEUS_QUEUE: "prometheus-queue", "A shard's queue is too short for one request",
    "capacity", "set capacity to 3 to 10 times max_samples_per_send";
PROMETHEUS_AGE: "prometheus-age", "Prometheus drops samples that AMP would still accept",
    "sample_age_limit", "remove sample_age_limit, or set 1h: AMP accepts samples up to one hour old";
PROMETHEUS_NEEDLESS: "prometheus-needless", "Settings of remote_write that the sidecar ignores",
    "no effect here", "remove them: the sidecar signs for the workspace in the url, forwards no header of Prometheus' own choice, serves plain http on loopback, and answers 503 to whatever is to be retried";
PROMETHEUS_TWICE: "prometheus-twice", "Two entries write the same samples to one workspace",
    "is sent twice", "remove one of them, or divide the series between them with write_relabel_configs";}
