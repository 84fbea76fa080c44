//! The status page and two pages of the docs, embedded in the binary so that they match it.
//!
//! In: a path. Out: the file, if it belongs to the page. The page fetches `/status.json` every few seconds and renders it; its policy
//! allows no other origin than this port, and it has no form, link or script that changes anything. All paths are relative, so that it
//! works behind `kubectl proxy` as well as behind `kubectl port-forward`.
//!
//! Separate files instead of one page with hashes of its parts: the policy then needs no hash, and no injected style or script runs.

/// The content security policy of the page.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TEXT: &str = "text/plain; charset=utf-8";

/// The file at this path, and its content type.
pub(super) fn asset(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/status.html")),
        "/status.css" => ("text/css; charset=utf-8", include_str!("page/status.css")),
        "/status.js" => (
            "text/javascript; charset=utf-8",
            include_str!("page/status.js"),
        ),
        "/docs/status.md" => (TEXT, include_str!("../../docs/status.md")),
        "/docs/runbooks.md" => (TEXT, include_str!("../../docs/runbooks.md")),
        "/icon.svg" => ("image/svg+xml", include_str!("page/icon.svg")),
        _ => return None,
    })
}
