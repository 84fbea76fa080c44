//! What the running sidecar reports: batches that AMP does not store, and all other incidents.

use super::row::rows;

rows! { #[cfg(any(test, feature = "internals"))] INCIDENTS:
    NO_CREDENTIALS: "no-credentials", "There are no valid AWS credentials to sign with",
        "`no_credentials`, `query_no_credentials`", "fix why their source gives none; senders keep their samples and retry";
    ACCESS_DENIED: "access-denied", "The role may not `aps:RemoteWrite` on the workspace",
        "`access_denied`", "attach a policy that allows it to the role (`amp-sidecar check` prints one), or AmazonPrometheusRemoteWriteAccess; check the workspace id too: a wrong id looks the same";
    THROTTLED: "throttled", "AMP limits the rate of the workspace or of the region",
        "`throttled`", "none needed for a while: senders get 503 and retry; if it lasts, request a higher ingestion rate for the workspace from AWS";
    AMP_FAILING: "amp-failing", "AMP answers 5xx, or the connection breaks",
        "`amp_failing`, `unreachable`", "none needed: it is temporary; senders keep their samples and retry";
    UNEXPECTED: "unexpected", "Something other than AMP answers",
        "`unexpected`", "check whether a proxy, firewall, captive portal or private endpoint answers instead of AMP";
    UNSIGNED: "unsigned", "The request could not be signed",
        "`unsigned`", "please report it: this is a bug of amp-sidecar";
    OVERLOADED: "overloaded", "More requests are in flight than fit into memory",
        "`overloaded`", "raise the memory limit of the container or --max-inflight-bytes, or lower max_shards of the senders";
    SERIES_LIMIT: "series-limit", "The workspace has as many active series as it may",
        "`series_limit`", "samples of new series are lost: request a higher limit of active series from AWS, or drop series with write_relabel_configs";
    REFUSED_ORDER: "refused-order", "Samples are out of order, or duplicates with other values",
        "`refused`: out_of_order, duplicate", "these samples are lost: make sure no two senders write the same series (give each its own external labels), and that clocks are correct";
    REFUSED_OLD: "refused-old", "Samples are older than AMP accepts",
        "`refused`: too_old, out_of_bounds", "these samples are lost: AMP accepts samples up to one hour old, so this follows a long outage; without one, correct the clock of the scraped target";
    REFUSED_NEW: "refused-new", "Samples are from the future",
        "`refused`: too_new", "these samples are lost: correct the clock of the sender's node, or of the target that exposes its own timestamps";
    REFUSED_LABELS: "refused-labels", "A series has too many or too long labels",
        "`refused`: labels", "samples of the series that AMP names are lost: drop or shorten its labels with write_relabel_configs, or set label_limit and label_value_length_limit for the scrape";
    REFUSED_EXEMPLAR: "refused-exemplar", "Exemplars that AMP does not accept",
        "`refused`: exemplar", "exemplars are lost, samples are not: set send_exemplars: false at the sender, or shorten their labels to 128 characters";
    REFUSED_METADATA: "refused-metadata", "Metadata that AMP does not accept",
        "`refused`: metadata", "metadata is lost, samples are not: shorten the help text of the metric that AMP names, or set metadata_config.send: false at the sender";
    REFUSED_HISTOGRAM: "refused-histogram", "A native histogram that AMP does not accept",
        "`refused`: native_histogram", "samples of the histogram that AMP names are lost: lower native_histogram_bucket_limit of its scrape, or scrape its classic buckets";
    REFUSED_HA: "refused-ha", "More replica groups than the workspace may have",
        "`refused`: ha_groups", "these samples are lost: request more replica groups from AWS, or use fewer values of the label `cluster`";
    REFUSED_SERIES: "refused-series", "A series whose name or labels are not valid",
        "`refused`: invalid", "samples of the series that AMP names are lost: relabel or drop it with write_relabel_configs";
    REFUSED_OTHER: "refused-other", "AMP refuses the batch with 402, 415 or 422",
        "`refused_other`", "these samples are lost: see the message of AMP";
    POISON: "poison", "A series that is always refused",
        "`poison`", "samples of this series are lost: relabel or drop it with write_relabel_configs, and find what on the way to AMP refuses it (a filter of a proxy or firewall)";
    TOO_LARGE_FOR_AMP: "too-large-for-amp", "A single series is larger than AMP accepts",
        "`too_large_for_amp`", "these samples are lost: shorten the labels or the metadata of the largest series";
    MALFORMED: "malformed", "The body is not remote write",
        "`malformed`, `unsupported_media`", "this batch is lost: send only Prometheus remote write, snappy-compressed";
    TOO_LARGE: "too-large", "The body is over --max-body-bytes",
        "`too_large`", "this batch is lost: lower max_samples_per_send of the sender, or raise --max-body-bytes";
    CLIENT_TOKEN: "client-token", "The sender has no valid bearer token",
        "`client_unauthenticated`", "give the sender a token of --listen-bearer-token-file";
    AMBIGUOUS_PATH: "ambiguous-path", "The URL names no workspace, and several are configured",
        "`ambiguous_path`", "put the workspace into the sender's URL: /workspaces/NAME/api/v1/remote_write";
    WORKSPACE_NOT_CONFIGURED: "workspace-not-configured", "No workspace is configured, or not the one that the sender names",
        "`workspace_not_configured`", "set AMP_SIDECAR_WORKSPACE_ID to the workspace in the sender's URL, or list several in the file of --config; --any-workspace serves up to 8 that senders name as /workspaces/ID/api/v1/remote_write";
    METHOD: "method", "A request to a write path that is not a POST",
        "`method_not_allowed`", "send only remote write to this port";
    CROSS_ORIGIN: "cross-origin", "A browser sends the request for a page of another origin",
        "`cross_origin`", "if it is a sender, remove Origin and Sec-Fetch-Site from its remote_write.headers; if it is you, use an IP address, localhost or a name of --allow-host";
    AMBIGUOUS_HEAD: "ambiguous-head", "The head of the request is ambiguous HTTP",
        "`ambiguous_head`", "find out who sends it, or what rewrites it on the way: no sender writes such a request";
    SLOW_SENDER: "slow-sender", "The body did not arrive within 30 s",
        "`slow_sender`", "find out what slows down the sender or its connection; it retries";
    SENDER_GONE: "sender-gone", "The sender closed the connection while sending",
        "`sender_gone`", "none needed: a sender that restarts does this, and retries";

    HUNG_UP: "hung-up", "A sender closed its connection before it got its response",
        "`hung_up`", "raise the sender's response timeout above --upstream-timeout (25 s): AMP may have stored what it sends again; once, as a sender restarts, it is normal";

    QUERY_DENIED: "query-denied", "The role may not query the workspace",
        "`query_denied`", "attach a policy that allows the action to the role, or AmazonPrometheusQueryAccess";
    QUERY_BUSY: "query-busy", "Too many queries at once",
        "`query_busy`", "send fewer queries at once";
    QUERY_TIMED_OUT: "query-timed-out", "A query took longer than --query-timeout",
        "`query_timed_out`", "query a shorter range or fewer series, or raise --query-timeout";

    TOKEN_CHANGING: "token-changing", "The token file changes while it is read",
        "`token_changing`", "let the writer rename a complete file into place, as kubelet does";
    ENTRA_THROTTLED: "entra-throttled", "Entra ID throttles",
        "`entra_throttled`", "none needed: it is temporary, and the exchange is retried";
    PROXY_PASSWORD: "proxy-password", "The proxy rejects user and password",
        "`unreachable`, `proxy`: CONNECT answered 401 or 407", "correct user and password in --https-proxy (HTTPS_PROXY)";
    PROXY_NO_PASSWORD: "proxy-no-password", "The proxy requires user and password",
        "`unreachable`, `proxy`: CONNECT answered 401 or 407; `unexpected` with 407", "set the proxy's user and password: --https-proxy http://user:password@host:port (HTTPS_PROXY)";
    PROXY_DENIED: "proxy-denied", "The proxy does not allow the endpoint",
        "`unreachable`, `proxy`: CONNECT answered 403 or 405", "allow host and port in the proxy, or list the host in --no-proxy (NO_PROXY)";
    PROXY_FAILED: "proxy-failed", "The proxy cannot reach the endpoint",
        "`unreachable`, `proxy`: CONNECT answered 5xx", "check the proxy's own DNS and egress to the endpoint";

    NEAR_LOSS: "near-loss", "Samples that senders hold back are nearly an hour old, or older",
        "`near_loss`", "fix what holds them back, which the other log lines and the status page name, before the time that the message gives: AMP accepts no sample older than one hour";
    UNREADABLE: "unreadable", "AMP stored a batch that the sidecar cannot read",
        "`unreadable`", "no sample is lost, the sender got AMP's 2xx; they are missing from the sidecar's counters. Please report the reason and which sender writes so: AMP reads more than amp-sidecar does";
    CONFIG_INVALID: "config-invalid", "The new configuration is invalid",
        "`config_invalid`, `config_roots`", "correct what it names; the file of --config is read again when it changes, everything else on SIGHUP";
    CONFIG_NEEDS_RESTART: "config-needs-restart", "The new configuration changes a setting that is fixed at start",
        "`config_needs_restart`", "restart to apply it, or restore the old value";
    CONFIG_WORKSPACE: "config-workspace", "A workspace of the new configuration could not be started",
        "`config_workspace`", "send SIGHUP to try again, or restart";
    SERVER_AUTH_FILES: "server-auth-files", "Certificate, key, CA or token file of the listener is invalid",
        "`server_auth_files`", "write complete files: a private key that matches the certificate, valid CA certificates, tokens; they are read again when they change";
    TRUSTED_FILES: "trusted-files", "A file of trusted certificates is invalid",
        "`ca_bundle`, `collector_ca`", "write a PEM file with the certificates to trust; it is read again when it changes";
    ACCEPT: "accept", "Connections cannot be accepted: too few file descriptors",
        "`accept`", "raise the limit of open files of the container (ulimit -n), or let fewer senders connect";
    HANDSHAKE: "handshake", "The TLS handshake with a sender fails",
        "`handshake`", "let the sender trust --listen-tls-cert and, with --listen-client-ca, present a certificate signed by that CA";
    TLS_ON_PLAIN_HTTP: "tls-on-plain-http", "A client speaks TLS, and the port serves plain http",
        "`tls_on_plain_http`", "write http:// instead of https:// in the sender's url, or set --listen-tls-cert; the admin port is always plain http";
    SPANS_LOST: "spans-lost", "The collector does not accept spans",
        "`spans_lost`", "check that --otlp-endpoint is reachable and accepts OTLP over HTTP; batches are not delayed by it";
}
