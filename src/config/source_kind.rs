//! The value of `--credentials`: a source, or what a person may have meant.

use super::error::Expected;
use super::model::SourceKind;
use super::values::choose;

/// People know a source by its platform.
pub(super) fn parse(text: &str) -> Result<SourceKind, Expected> {
    let kinds = SourceKind::ALL.map(|kind| (kind.name(), kind));
    choose(text, &kinds).map_err(|Expected(names)| {
        let meant = match text.to_ascii_lowercase().as_str() {
            "pod-identity" | "eks" | "ecs" | "eks-pod-identity" => {
                "EKS Pod Identity and ECS are container"
            }
            "static" | "profile" | "shared" | "shared-credentials-file" => {
                "a profile of a credentials file, or static keys, are file"
            }
            "entra" | "azure" | "azure-imds" | "gce" | "gce-metadata" => {
                "tokens of Azure and Google are web-identity with --token-source"
            }
            _ => return Expected(names),
        };
        Expected(format!("{names}: {meant}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_found_by_its_platform() {
        assert_eq!(parse("container"), Ok(SourceKind::Container));
        for (text, meant) in [
            ("pod-identity", "container"),
            ("ecs", "container"),
            ("static", "file"),
            ("azure-imds", "--token-source"),
        ] {
            let expected = parse(text).unwrap_err().0;
            assert!(expected.ends_with(meant), "{expected}");
        }
        let names = "web-identity or roles-anywhere or container or file";
        assert_eq!(parse("imds2").unwrap_err().0, names);
    }
}
