//! The status page and two pages of the docs: files that are part of the program, so that they fit it.
//!
//! In: a path. Out: the file, where it is one of the page's. The page asks for `/status.json` every few seconds and shows it; it
//! has no other origin than this port, which its policy holds it to, and no form, link or script that changes anything. All its
//! paths are relative, so that it works behind `kubectl proxy` as well as behind `kubectl port-forward`.
//!
//! Files of their own instead of one page with hashes of its parts: the policy then needs no hash, and no style or script that
//! somebody might get into the page would run.

/// What a browser may do for the page.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TEXT: &str = "text/plain; charset=utf-8";

/// The file at this path, and what it is.
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
