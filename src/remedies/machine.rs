//! What the metadata server of a virtual machine refuses, and who answers in its place.

use super::row::rows;

rows! { #[cfg(any(test, feature = "internals"))] MACHINE:
IMDS_NO_IDENTITY: "imds-no-identity", "The machine in Azure has no managed identity, or not the one of --azure-client-id",
    "Identity not found", "assign one to the machine: az vm identity assign, for a scale set az vmss identity assign, with --identities for a user-assigned one; --azure-client-id (AZURE_CLIENT_ID) must be the client id of an assigned one, or not be set";
IMDS_SEVERAL_IDENTITIES: "imds-several-identities", "The machine in Azure has several managed identities, and the setting names none",
    "Multiple user assigned identities exist", "set --azure-client-id (AZURE_CLIENT_ID) to the client id of the one that the role trusts";
GCE_NO_SERVICE_ACCOUNT: "gce-no-service-account", "The machine at Google has no service account",
    "refused (404", "attach one: stop the instance, then gcloud compute instances set-service-account; on GKE, annotate the Kubernetes service account with iam.gke.io/gcp-service-account";
GCE_DENIED: "gce-denied", "Google's metadata server may not give tokens of the service account",
    "refused (403", "on GKE, give the Kubernetes service account roles/iam.workloadIdentityUser on Google's; on a machine, give the instance the access scope cloud-platform, and enable the service account if it is disabled";
METADATA_SILENT: "metadata-silent", "Nothing answers at the address of the cloud's metadata server",
    "metadata server could not be reached", "check that this machine is in that cloud (--token-source), and let this process reach 169.254.169.254 on port 80: a network policy, a firewall rule or the network of the container may drop it; no proxy is ever used for it";
METADATA_FOREIGN: "metadata-foreign", "Something other than the cloud's metadata server answers at its address",
    "metadata server cannot be used", "check that this machine is in that cloud (--token-source), and what else answers at 169.254.169.254 here: another cloud, a proxy or an agent";
METADATA_TROUBLE: "metadata-trouble", "The cloud's metadata server is starting, throttles or is failing",
    "metadata server refused", "none needed: it is temporary, and the running sidecar retries; if it lasts, check that this machine is in that cloud (--token-source)";
METADATA_REFUSAL: "metadata-refusal", "The cloud's metadata server refuses for another reason",
    "metadata server refused", "see its message";
}
