//! Entra's error codes, and what to do: one table.
//!
//! From Microsoft's reference of error codes and from threads of people who had them. Codes may change (the reference says so), so only messages, a
//! label and the pace of retries depend on them; an unknown code is shown with Entra's message.

use super::Remedy;

/// A known error.
#[derive(Debug)]
pub(crate) struct EntraRefusal {
    /// The numbers behind `AADSTS`; of several, all but the first are subcodes.
    codes: &'static [u32],
    /// The metric's label.
    pub(crate) label: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) remedy: &'static str,
    /// Whether it is about the assertion's claims.
    pub(crate) by_claims: bool,
    /// Whether it may resolve by itself.
    pub(crate) passes: bool,
}

const fn known(
    codes: &'static [u32],
    label: &'static str,
    cause: &'static str,
    remedy: &'static str,
) -> EntraRefusal {
    EntraRefusal {
        codes,
        label,
        cause,
        remedy,
        by_claims: false,
        passes: false,
    }
}

pub(super) const TABLE: &[EntraRefusal] = &[
    EntraRefusal {
        by_claims: true,
        ..known(
            &[70021],
            "entra_AADSTS70021",
            "no federated credential of the application matches the projected token",
            "add one with exactly the token's issuer, subject and audience; a new one takes some minutes to work",
        )
    },
    EntraRefusal {
        by_claims: true,
        ..known(
            &[700_211],
            "entra_AADSTS700211",
            "no federated credential of the application has the projected token's issuer",
            "set its issuer to exactly the token's iss, including a trailing slash",
        )
    },
    EntraRefusal {
        by_claims: true,
        ..known(
            &[700_212, 7_002_121],
            "entra_AADSTS700212",
            "no federated credential of the application has the projected token's audience",
            "project the token for the audience of the credential, api://AzureADTokenExchange by default",
        )
    },
    EntraRefusal {
        by_claims: true,
        ..known(
            &[700_213, 7_002_137, 7_002_138],
            "entra_AADSTS700213",
            "no federated credential of the application has the projected token's subject",
            "set its subject to system:serviceaccount:NAMESPACE:NAME of this pod's service account; it is case-sensitive",
        )
    },
    EntraRefusal {
        by_claims: true,
        passes: true,
        ..known(
            &[700_024],
            "entra_AADSTS700024",
            "the projected token is not valid now",
            "let this pod read the file that kubelet refreshes (no subPath), and check the clock of the node",
        )
    },
    EntraRefusal {
        by_claims: true,
        ..known(
            &[70025],
            "entra_AADSTS70025",
            "the application has no federated credential at all",
            "add one with exactly the token's issuer, subject and audience",
        )
    },
    EntraRefusal {
        by_claims: true,
        ..known(
            &[700_027],
            "entra_AADSTS700027",
            "the projected token is not signed with a key that its issuer publishes",
            "check that the issuer's discovery document is that of this cluster; after a key rotation it resolves within a day",
        )
    },
    known(
        &[50027],
        "entra_AADSTS50027",
        "the projected token is not a JSON web token that Entra can read",
        "set --azure-federated-token-file to the file that kubelet writes",
    ),
    known(
        &[700_016],
        "entra_AADSTS700016",
        "the tenant has no application with this client id",
        "check --azure-client-id and --azure-tenant-id, and that the authority host is that of the tenant's cloud",
    ),
    known(
        &[7_000_229],
        "entra_AADSTS7000229",
        "the application has no service principal in the tenant",
        "create one: az ad sp create --id CLIENT-ID",
    ),
    known(
        &[7_000_112],
        "entra_AADSTS7000112",
        "the application is disabled in the tenant",
        "enable sign-in under Enterprise applications",
    ),
    known(
        &[90002, 900_021, 900_023],
        "entra_AADSTS90002",
        "there is no such tenant",
        "check --azure-tenant-id, and that --azure-authority-host is that of the tenant's cloud",
    ),
    known(
        &[90038],
        "entra_AADSTS90038",
        "the tenant is in another Azure cloud",
        "set --azure-authority-host to the login endpoint of that cloud",
    ),
    known(
        &[500_011],
        "entra_AADSTS500011",
        "the tenant has no application with the App ID URI of the scope",
        "check the App ID URI in --entra-scope or --token-audience; the application that represents AWS needs it and a service principal in this tenant",
    ),
    known(
        &[70011, 1_002_012],
        "entra_AADSTS70011",
        "the scope is not valid",
        "set --entra-scope to the App ID URI of the application that represents AWS, followed by /.default",
    ),
    known(
        &[501_051],
        "entra_AADSTS501051",
        "the application of the scope requires an assignment, and this one has none",
        "assign it an app role there, or turn off Assignment required",
    ),
    known(
        &[700_222],
        "entra_AADSTS700222",
        "the token was issued by Entra itself",
        "set --azure-federated-token-file to the projected service-account token",
    ),
    known(
        &[53003],
        "entra_AADSTS53003",
        "a Conditional Access policy blocks this workload",
        "allow the egress addresses of the cluster",
    ),
    EntraRefusal {
        passes: true,
        ..known(
            &[50166, 501_661],
            "entra_AADSTS50166",
            "Entra could not read the keys of the cluster's issuer",
            "make sure the issuer's discovery document can be read from the internet; it is often temporary",
        )
    },
    EntraRefusal {
        passes: true,
        ..known(
            &[90033, 90024],
            "entra_AADSTS90033",
            "Entra ID is failing",
            "none needed: it is temporary",
        )
    },
];

impl EntraRefusal {
    /// Its row of the table.
    pub(crate) fn row(&self) -> Remedy {
        Remedy {
            id: self.label,
            cause: self.cause,
            // As Entra writes it: AADSTS700213.
            symptom: self.label.trim_start_matches("entra_"),
            remedy: self.remedy,
        }
    }

    pub(crate) fn of(code: u32) -> Option<&'static Self> {
        TABLE.iter().find(|known| known.codes.contains(&code))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::TABLE;

    #[test]
    fn every_code_has_one_row_labelled_by_its_own_number() {
        let mut seen = HashSet::new();
        for known in TABLE {
            assert!(
                known.codes.iter().all(|code| seen.insert(code)),
                "{known:?}"
            );
            let first = known.codes.first().unwrap();
            assert_eq!(known.label, format!("entra_AADSTS{first}"));
            assert!(!known.cause.is_empty() && !known.remedy.is_empty());
        }
    }
}
