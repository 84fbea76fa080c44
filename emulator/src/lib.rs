//! A local stand-in for the OIDC issuer, STS and AMP.

pub mod amp;
pub mod sessions;
