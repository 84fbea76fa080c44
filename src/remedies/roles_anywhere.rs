//! The mistakes with a certificate and IAM Roles Anywhere.

use super::row::rows;

rows! { #[cfg(any(test, feature = "internals"))] ROLES_ANYWHERE:
FILES_MISSING: "certificate-missing", "The certificate or its private key is not where the setting says",
    "No such file or directory", "mount the Secret that cert-manager writes, as a folder and without subPath, and set --roles-anywhere-certificate to its tls.crt and --roles-anywhere-private-key to its tls.key; kubectl describe certificate says why there is none yet";
FILES_DENIED: "certificate-denied", "The container's user may not read the certificate or its private key",
    "Permission denied", "set fsGroup of the pod, or defaultMode of the Secret's volume, so that the sidecar's user may read the files; on a VM, let the service's group read them and their folder";
NO_CERTIFICATE: "certificate-malformed", "The file of the certificate holds something else, or is not complete",
    "holds no certificate as PEM", "let it hold the certificate and after it the intermediate certificates, as PEM (tls.crt of cert-manager); a writer has to rename a complete file into place";
NO_KEY: "private-key-unusable", "The private key is encrypted, or of a kind that cannot sign for Roles Anywhere here",
    "private key file", "use RSA with 2048 to 4096 bits or ECDSA on P-256, without a passphrase, as PEM; cert-manager: privateKey algorithm RSA size 2048, or algorithm ECDSA size 256";
MISMATCH: "private-key-mismatch", "Certificate and private key do not belong together",
    "is not that of the certificate", "set both paths to files of one Secret; while they are renewed this passes by itself, and it does not happen if both are replaced at once, as in a Secret's volume";
UNFIT: "certificate-unfit", "The certificate is a CA's, its key usage does not allow signatures, or the file has its certificates in another order",
    "certificate file", "let the file hold the certificate of the private key first, then the CA that issued it, then that one's; it needs CA:FALSE and digitalSignature (cert-manager: isCA false, usages digital signature)";
EXPIRED: "certificate-expired", "The certificate has ended, or is not valid yet",
    "unless this machine's clock is wrong", "renew it: cert-manager does so in time unless its issuer fails (kubectl describe certificate); if it is valid, correct this machine's clock";
NOT_RENEWED: "certificate-ends", "The certificate will end soon, and nothing has renewed it",
    "nothing renews it", "look why: kubectl describe certificate; cert-manager renews when a third of the life is left (renewBefore), and into the Secret, so a copy of it grows old; without cert-manager, replace the files before the certificate ends";
UNTRUSTED: "certificate-untrusted", "The certificate does not lead to the trust anchor, or was revoked",
    "Untrusted", "the trust anchor must hold the CA that issued it, or the root above its intermediates, which then follow the certificate in its file; check with aws rolesanywhere get-trust-anchor and list-crls";
INSUFFICIENT: "certificate-insufficient", "The certificate lacks what AWS requires",
    "Insufficient certificate", "issue it with X.509 version 3, basic constraints CA:FALSE, key usage digitalSignature, and a signature with SHA-256 or stronger";
TRUST: "roles-anywhere-trust", "The role does not trust Roles Anywhere, or not for this certificate",
    "Unable to assume role", "its trust policy must allow sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity to the service rolesanywhere.amazonaws.com, with conditions that match the certificate's subject and the trust anchor; amp-sidecar setup aws --via roles-anywhere prints it";
PROFILE: "roles-anywhere-profile", "The profile does not list the role",
    "Unable to assume role", "add it: aws rolesanywhere update-profile --profile-id ID --role-arns ROLE-ARN, with those that are listed already";
DISABLED: "roles-anywhere-disabled", "The trust anchor or the profile is disabled",
    "disabled", "enable it: aws rolesanywhere enable-trust-anchor, aws rolesanywhere enable-profile";
NOT_FOUND: "roles-anywhere-missing", "There is no such trust anchor or profile in this region and account",
    "ResourceNotFoundException", "compare --trust-anchor-arn and --profile-arn with aws rolesanywhere list-trust-anchors and list-profiles, in the region that the ARNs name";
SESSION_NAME: "roles-anywhere-session-name", "The profile accepts no session name",
    "Not authorized to set roleSessionName", "unset --role-session-name: the session is then named after the certificate's serial number; or allow it: aws rolesanywhere update-profile --accept-role-session-name";
SESSION_TAGS: "roles-anywhere-tags", "The certificate's names hold characters that no session tag may have",
    "failed to be mapped into session tags", "issue it with names of letters, digits, spaces and _.:/=+-@ only; or remove the attribute from the profile's mapping: aws rolesanywhere delete-attribute-mapping";
REFUSED: "roles-anywhere-refused", "Roles Anywhere refuses for another reason",
    "Roles Anywhere refused", "see its message, and in the AWS console of Roles Anywhere the subject activity of the certificate";
TROUBLE: "roles-anywhere-trouble", "Roles Anywhere throttles or is failing",
    "Roles Anywhere refused (", "none needed: it is temporary, and the running sidecar retries";
FOREIGN: "roles-anywhere-foreign", "Something other than Roles Anywhere answers",
    "the response of Roles Anywhere", "check --roles-anywhere-endpoint, and whether a proxy, firewall or captive portal answers in its place";
}
