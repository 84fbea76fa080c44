//! The mistakes with AWS' shared credentials file, and with static keys.

use super::row::rows;

rows! { #[cfg(any(test, feature = "internals"))] CREDENTIALS_FILE:
MISSING: "credentials-file-missing", "There is no credentials file at the path, or it is not mounted in this container",
    "credentials file", "set --shared-credentials-file (AWS_SHARED_CREDENTIALS_FILE) to the file that the agent writes, and start the agent; in a pod mount its folder, not the file alone with subPath, which hides every replacement";
DENIED: "credentials-file-denied", "This process may not read the credentials file",
    "Permission denied", "let the sidecar's user or group read the file and enter the folders above it; agents that run as root write it for root alone: let them write to a folder of their own, or run what copies it";
SYNTAX: "credentials-file-syntax", "The credentials file cannot be parsed, or is written in place without an end",
    "credentials file", "correct the line that the message names: [profile], then name = value, each name once; let the writer rename a complete file into place";
PROFILE: "credentials-file-profile", "The credentials file lacks the profile",
    "it has no profile", "set --profile (AWS_PROFILE) to a profile in this file; unlike in ~/.aws/config its section is [NAME], not [profile NAME]";
KEYS: "credentials-file-keys", "The profile lacks a key, or a value cannot be one",
    "profile [", "let the profile have aws_access_key_id and aws_secret_access_key, and aws_session_token if the access key ID begins with ASIA";
PROGRAM: "credentials-file-program", "The profile gets its keys from a program (credential_process)",
    "credential_process", "the sidecar starts no programs, since its sandbox forbids it: let a timer or another container run the program and write its keys to the file, which is read again when it changes; instead of aws_signing_helper use --credentials roles-anywhere";
ROLE: "credentials-file-role", "The profile assumes a role",
    "role_arn", "set --profile to the profile with the keys, the one that source_profile names, and the role as --assume-role";
WEB_IDENTITY: "credentials-file-web-identity", "The profile assumes a role with a token",
    "web_identity_token_file", "set --credentials web-identity, with --role-arn and --web-identity-token-file as in the profile";
STATIC_KEYS: "static-keys", "Static keys sign, which nobody rotates (--allow-static-keys)",
    "the environment has keys", "replace them by a source whose credentials expire: --credentials web-identity for a token of the cluster or machine, container on EKS and ECS, file for keys that an agent rotates; then delete the access key";
SSO: "credentials-file-sso", "The profile is of IAM Identity Center (SSO), which needs a person to log in",
    "sso_", "use another source (--credentials), or let what renews the login write keys: aws configure export-credentials prints them";
}
