//! A path leads to what is configured or nowhere, and a query goes on only in the one form that is signed.

use amp_sidecar::query::QueryError;
use amp_sidecar::query::api::Api;
use amp_sidecar::query::request::{self, ReadError};
use amp_sidecar::router::RequestedWorkspace;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, Uri};

use super::reply::at_once;

const LONGEST: usize = 32 * 1024;

/// The input is a request's target.
pub fn holds(input: &[u8]) {
    let Ok(uri) = Uri::try_from(input) else {
        return;
    };
    let segments: Vec<&str> = uri
        .path()
        .split('/')
        .filter(|one| !one.is_empty())
        .collect();
    match RequestedWorkspace::by(uri.path()) {
        Some(RequestedWorkspace::TheOnly) => {
            let write = |last| segments == ["api", "v1", last];
            assert!(write("remote_write") || write("write"));
        }
        Some(RequestedWorkspace::Named(key)) => {
            assert_eq!(segments, ["workspaces", key, "api", "v1", "remote_write"]);
        }
        None => {}
    }
    let below = uri.path().split_once("/api/v1/").map(|(_, below)| below);
    let api = below.and_then(Api::at);
    if let Some(api) = &api {
        let whole = below.map(|below| format!("api/v1/{below}"));
        assert_eq!(whole, Some(api.to_string()));
        assert!(
            api.to_string()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_/".contains(&b))
        );
    }
    let query = uri.query().unwrap_or_default().to_owned();
    let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    match at_once(request::read(api.unwrap_or(Api::Query), request)) {
        Ok(asked) => {
            assert_eq!(pairs(&asked.query), pairs(&query));
            assert!(asked.query.len() <= LONGEST);
            let canonical = |b: u8| b.is_ascii_alphanumeric() || b"-._~%=&".contains(&b);
            assert!(asked.query.bytes().all(canonical), "{}", asked.query);
            assert!(!pairs(&asked.query).iter().any(belongs_to_a_signature));
        }
        Err(ReadError::Query(QueryError::LongUrl { .. })) => {
            assert!(query.len() > LONGEST / 3);
        }
        Err(ReadError::Query(QueryError::Parameter(_))) => {
            let pairs = pairs(&query);
            let is_no_utf8 = |(name, value): &(String, String)| {
                name.contains('\u{fffd}') || value.contains('\u{fffd}')
            };
            assert!(
                pairs
                    .iter()
                    .any(|pair| belongs_to_a_signature(pair) || is_no_utf8(pair))
            );
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

fn belongs_to_a_signature((name, _): &(String, String)) -> bool {
    name.to_ascii_lowercase().starts_with("x-amz-")
}
