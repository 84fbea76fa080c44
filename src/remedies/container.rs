//! The mistakes with credentials of EKS Pod Identity and ECS.

use super::row::rows;

rows! { #[cfg(any(test, feature = "internals"))] CONTAINER:
TOKEN_MISSING: "container-token-missing", "The token of EKS Pod Identity is not mounted in this container",
    "No such file or directory", "create the pod again: EKS mounts the token into pods that start after the association of their service account exists; check it with aws eks list-pod-identity-associations --cluster-name CLUSTER --namespace NAMESPACE";
TOKEN_CHARACTERS: "container-token-characters", "The token for the credentials endpoint cannot be sent as it is",
    "which no request can carry", "let the file hold the token alone, without a line break at its end (printf, not echo); EKS writes it so";
TOKEN_REFUSED: "container-token-refused", "The credentials endpoint does not accept the token",
    "Service account token", "set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE to the file that EKS mounts, unchanged: kubelet refreshes the token in it, whose audience is pods.eks.amazonaws.com";
TRUST: "pod-identity-trust", "The role does not trust EKS Pod Identity, or not for this cluster, namespace or service account",
    "EKS does not have permissions to assume the associated role", "the role's trust policy must allow both sts:AssumeRole and sts:TagSession to the service pods.eks.amazonaws.com, with no condition that excludes this pod; amp-sidecar setup aws --via pod-identity prints it";
ASSOCIATION: "pod-identity-association", "The pod's service account is associated with no role",
    "ResourceNotFoundException", "create the association: aws eks create-pod-identity-association, with the cluster, the namespace, the service account and the role; then create the pod again";
EXPIRED: "container-expired", "This machine's clock is ahead, or the credentials endpoint gives credentials that have expired",
    "the credentials endpoint gave credentials that expired", "compare the time in the message with the true one and correct the clock (chrony, systemd-timesyncd, the hypervisor): the agent runs on this node, by the same clock, so nothing else shows that it is ahead; if the clock is right, look at the agent's log";
REFUSED: "container-refused", "The credentials endpoint refuses",
    "the credentials endpoint refused", "see its message, and check the variables AWS_CONTAINER_… against what the platform sets: they differ from pod to pod and from task to task, so none may be copied";
BUSY: "container-busy", "The credentials endpoint, or the service behind it, is throttled, slow or has trouble",
    "the credentials endpoint refused (5", "none needed: it is often temporary, and the request is repeated; if it lasts, look at the log of the agent on this node";
UNREACHABLE: "container-unreachable", "Nothing listens at the credentials endpoint",
    "the credentials endpoint could not be reached", "on EKS install the add-on eks-pod-identity-agent and check that its pod on this node runs (kubectl -n kube-system get pods -o wide); allow egress from this pod to the endpoint (network policy); on Fargate there is no agent: use --credentials web-identity";
FOREIGN: "container-foreign", "The credentials endpoint answers without usable keys, or something else answers in its place",
    "the response of the credentials endpoint", "see what the message says is missing or wrong; check AWS_CONTAINER_CREDENTIALS_FULL_URI, and what listens there; redirects are not followed";
}
