//! Why an endpoint was not reached, or gave no usable response.
//!
//! One type per stage: a connection ([`ConnectError`], which contains [`ProxyError`]), a request over a pooled connection
//! ([`TransportError`]), a call of the HTTP client ([`HttpError`]). Each keeps its source unchanged, so that log, `/readyz` and `check`
//! name DNS, proxy, TLS or a timeout at every stage; [`ConnectError::remedy`] gives the remedy. They share a file because they
//! contain one another.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use hyper::StatusCode;
use rustls::CertificateError;

use crate::remedies::Remedy;
use crate::remedies::first_hour::{
    ANSWER_SWALLOWED, CONNECTION_REFUSED, CONNECTION_SILENT, NAME_UNRESOLVED, PROXY, TLS_AUTHORITY,
    TLS_EXPIRED, TLS_FOREIGN, TLS_NAME,
};
use crate::remedies::running::{PROXY_DENIED, PROXY_FAILED, PROXY_NO_PASSWORD, PROXY_PASSWORD};

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address, or the resolver did not answer.
    #[error("name {host} was not resolved: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// No address accepted the connection.
    #[error("connection to {address}: {source}")]
    Tcp {
        /// The last address that was tried.
        address: SocketAddr,
        source: io::Error,
    },
    /// The proxy did not open a tunnel.
    #[error("proxy {proxy}: {source}")]
    Proxy {
        /// Its URL, without user and password.
        proxy: String,
        /// Why.
        source: ProxyError,
    },
    /// The TLS handshake failed.
    #[error("TLS with {host}: {source}")]
    Tls {
        /// The name that the certificate had to be for.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// It took longer than [`CONNECT_TIMEOUT`](super::connect::CONNECT_TIMEOUT).
    #[error("no connection to {0} within 3 s")]
    TimedOut(String),
}

/// Why a proxy did not open a tunnel to the target.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy itself could not be reached.
    #[error(transparent)]
    Unreachable(Box<ConnectError>),
    /// It refused or failed.
    #[error("it answered CONNECT {target} with {status}")]
    Refused {
        /// The requested host and port.
        target: String,
        /// Its response.
        status: StatusCode,
        /// Whether user and password were sent.
        authorized: bool,
    },
    /// It closed the connection, or did not speak HTTP.
    #[error("no response to CONNECT {target}: {source}")]
    NoAnswer {
        /// The requested host and port.
        target: String,
        source: hyper::Error,
    },
}

/// Why no response came over a pooled connection.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection could be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke before the response was complete.
    #[error("the connection broke: {0}")]
    Broken(#[source] hyper::Error),
    #[error("the response is not HTTP: {0}")]
    Garbage(#[source] hyper::Error),
    /// A successful response with a longer body than AMP ever sends.
    #[error("the response is a success with a body of more than 64 KiB, which AMP never sends")]
    Endless,
    /// The deadline passed.
    #[error("no response within --upstream-timeout")]
    TimedOut,
}

/// Why a call of the HTTP client gave no response; messages continue after the name of the service.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL has no host, or a scheme other than http and https.
    #[error("could not be reached: its URL needs a host, and http or https as its scheme")]
    Url,
    /// No connection could be made.
    #[error("could not be reached: {0}")]
    Connect(#[from] ConnectError),
    /// The connection broke before the response was complete.
    #[error("could not be reached: the connection broke: {}", with_causes(.0))]
    Broken(#[source] hyper::Error),
    #[error("could not be reached: the response is not HTTP: {0}")]
    NotHttp(#[source] hyper::Error),
    /// No complete response came in time.
    #[error("did not answer within 5 s")]
    TimedOut,
    /// The response is larger than any expected one.
    #[error("answered ({0}) with more than 64 KiB")]
    TooLarge(StatusCode),
}

// === impl ConnectError ===

impl ConnectError {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Proxy {
                source:
                    ProxyError::Refused {
                        status, authorized, ..
                    },
                ..
            } => match status.as_u16() {
                // tinyproxy answers a wrong password with 401.
                401 | 407 if *authorized => PROXY_PASSWORD,
                401 | 407 => PROXY_NO_PASSWORD,
                403 | 405 => PROXY_DENIED,
                500..=599 => PROXY_FAILED,
                _ => PROXY,
            },
            Self::Resolve { .. } => NAME_UNRESOLVED,
            Self::Tcp { .. } => CONNECTION_REFUSED,
            Self::Proxy { .. } => PROXY,
            Self::TimedOut(_) => CONNECTION_SILENT,
            Self::Tls { source, .. } => of_tls(source),
        }
    }
}

fn of_tls(error: &io::Error) -> Remedy {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TLS_NAME
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TLS_EXPIRED,
            _ => TLS_AUTHORITY,
        },
        _ => TLS_FOREIGN,
    }
}

// === impl TransportError ===

impl TransportError {
    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Connect(ConnectError::Resolve { .. }) => "dns",
            Self::Connect(ConnectError::Tcp { .. }) => "connect",
            Self::Connect(ConnectError::Proxy { .. }) => "proxy",
            Self::Connect(ConnectError::Tls { .. }) => "tls",
            Self::Connect(ConnectError::TimedOut(_)) => "connect_timed_out",
            Self::Broken(_) => "broken",
            Self::Garbage(_) => "garbage",
            Self::Endless => "endless",
            Self::TimedOut => "timed_out",
        }
    }

    /// Classifies hyper's error about a request that was sent.
    pub(super) fn of(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::Garbage(error)
        } else {
            Self::Broken(error)
        }
    }
}

// === impl HttpError ===

impl HttpError {
    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Connect(ConnectError::Proxy { .. }) => "proxy",
            Self::Connect(ConnectError::TimedOut(_)) | Self::TimedOut => "timed_out",
            Self::Url | Self::Connect(_) | Self::Broken(_) | Self::NotHttp(_) => "unreachable",
            Self::TooLarge(_) => "unusable_answer",
        }
    }

    /// What to do about it; `foreign` if something other than the service responds.
    pub(crate) fn remedy(&self, foreign: Remedy) -> Remedy {
        match self {
            Self::Connect(error) => error.remedy(),
            Self::Broken(_) | Self::TimedOut => ANSWER_SWALLOWED,
            Self::Url | Self::NotHttp(_) | Self::TooLarge(_) => foreign,
        }
    }

    /// Classifies hyper's error about a request that was sent.
    pub(super) fn of(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::NotHttp(error)
        } else {
            Self::Broken(error)
        }
    }
}

/// An error with its causes, which hyper's own message omits.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
