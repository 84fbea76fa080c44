//! What the metadata server of a virtual machine knows of the machine's own identity, in Azure and at Google.
//!
//! In: a GET at the address that every machine of that cloud has for it, with the header that no browser and no proxy
//! adds. Out: a token for AWS, or the error of the real server. Both refuse a request that somebody forwarded
//! (`X-Forwarded-For`), so that a web server on the machine cannot be talked into fetching one.

mod google;
mod imds;
mod request;

use bytes::Bytes;
use http::{Request, Response};

pub(crate) use google::{GOOGLE_HOST, Google, KEYS_HOST};
pub use google::{GoogleVm, ServiceAccount};
pub use imds::AzureVm;
pub(crate) use imds::Imds;

use crate::front::Answers;

/// The cloud that a machine is in, and its identity there.
#[derive(Debug, Clone)]
pub enum Machine {
    /// A virtual machine or a scale set's instance in Azure; the world needs an Entra ID.
    Azure(AzureVm),
    /// An instance of Compute Engine.
    Google(GoogleVm),
}

/// The metadata server of either.
#[derive(Debug)]
pub(crate) enum Metadata {
    Azure(Imds),
    Google(Box<Google>),
}

impl Answers for Metadata {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self {
            Self::Azure(imds) => imds.answer(&request),
            Self::Google(google) => google.answer(&request),
        }
    }
}
