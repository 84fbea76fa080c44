//! The hosts of AMP, STS and Roles Anywhere: AWS' own by region and variant, and what contradicts a custom one.
//!
//! In: a service, a region, `--use-fips-endpoint`, `--use-dualstack-endpoint`, and a custom URL's host. Out: a host, or a
//! [`Conflict`] that names the setting to change and how. Pure: no network access. Partitions and hosts are those of AWS' endpoint
//! documentation and of botocore's `partitions.json` and rule sets (1.44).
//!
//! A custom URL overrides everything, and must not contradict other settings. As in AWS' SDKs, FIPS or dual stack with a custom URL is an
//! error, since nobody can tell whether that host is the requested one; with AWS' own host as the URL it is not.

use crate::config::settings::{self, Setting};
use crate::config::values;

/// A partition of AWS: its regions share an identity space and DNS suffixes.
struct Partition {
    /// As in ARNs.
    id: &'static str,
    regions: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
}

/// The last one is the default for unknown regions.
const PARTITIONS: &[Partition] = &[
    partition("aws-cn", "cn-", CHINA),
    partition("aws-us-gov", "us-gov-", ("amazonaws.com", "api.aws")),
    partition("aws-iso", "us-iso-", ("c2s.ic.gov", "api.aws.ic.gov")),
    partition("aws-iso-b", "us-isob-", ("sc2s.sgov.gov", "api.aws.scloud")),
    partition(
        "aws-iso-e",
        "eu-isoe-",
        ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ),
    partition(
        "aws-iso-f",
        "us-isof-",
        ("csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ),
    partition(
        "aws-eusc",
        "eusc-",
        ("amazonaws.eu", "api.amazonwebservices.eu"),
    ),
    AWS,
];
const AWS: Partition = partition("aws", "", ("amazonaws.com", "api.aws"));
const CHINA: (&str, &str) = ("amazonaws.com.cn", "api.amazonwebservices.com.cn");

/// Regions with FIPS hosts, in addition to GovCloud's.
const AMP_FIPS: &[&str] = &[
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ca-central-1",
    "ca-west-1",
];
const STS_FIPS: &[&str] = &["us-east-1", "us-east-2", "us-west-1", "us-west-2"];
const ROLES_ANYWHERE_FIPS: &[&str] = STS_FIPS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AwsService {
    /// Where batches go.
    Amp,
    /// Where credentials come from.
    Sts,
    /// Where they come from for a certificate.
    RolesAnywhere,
}

/// Which of a service's hosts to use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HostVariant {
    pub(super) fips: bool,
    pub(super) dual_stack: bool,
}

/// A setting that contradicts others, and what would not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) setting: &'static Setting,
    pub(super) expected: String,
}

/// The region in one of AWS' hosts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HostRegion<'a> {
    pub(super) name: &'a str,
    /// A PrivateLink host does not prove its region, but may contradict another.
    pub(super) private_link: bool,
}

const fn partition(
    id: &'static str,
    regions: &'static str,
    (suffix, dual_stack_suffix): (&'static str, &'static str),
) -> Partition {
    Partition {
        id,
        regions,
        suffix,
        dual_stack_suffix,
    }
}

fn conflict(setting: &'static Setting, expected: impl Into<String>) -> Conflict {
    let expected = expected.into();
    Conflict { setting, expected }
}

/// The partition that a region is in, as ARNs name it.
pub(crate) fn partition_id(region: &str) -> &'static str {
    partition_of(region).id
}

fn partition_of(region: &str) -> &'static Partition {
    let mut partitions = PARTITIONS.iter();
    partitions
        .find(|partition| region.starts_with(partition.regions))
        .unwrap_or(&AWS)
}

/// The role and STS' region must be in the partition of the workspace's region.
pub(super) fn one_partition(
    region: &str,
    sts_region: &str,
    role_arn: Option<&str>,
) -> Vec<Conflict> {
    let here = partition_of(region).id;
    let mut conflicts = Vec::new();
    if partition_of(sts_region).id != here {
        let expected =
            format!("a region in the partition {here}, like the workspace's region {region}");
        conflicts.push(conflict(settings::STS_REGION.setting(), expected));
    }
    let of_role = role_arn.and_then(|arn| arn.split(':').nth(1));
    if of_role.is_some_and(|of_role| of_role != here) {
        let expected =
            format!("a role in the partition {here} (arn:{here}:iam::…), like the region {region}");
        conflicts.push(conflict(settings::ROLE_ARN.setting(), expected));
    }
    conflicts
}

// === impl AwsService ===

impl AwsService {
    /// AWS' own host.
    pub(super) fn host(self, region: &str, variant: HostVariant) -> Result<String, Conflict> {
        let partition = partition_of(region);
        let govcloud = partition.id == "aws-us-gov";
        if self == Self::Amp && partition.id == "aws-cn" {
            let expected = "a region with AMP, which China does not have, or --remote-write-url";
            return Err(conflict(settings::REGION.setting(), expected));
        }
        if self == Self::Amp && partition.id.starts_with("aws-iso") {
            let expected = format!(
                "--remote-write-url as well: AMP's host in {} is not public",
                partition.id
            );
            return Err(conflict(settings::REGION.setting(), expected));
        }
        let (service, setting, with_fips) = match self {
            Self::Amp => ("AMP", "a region", AMP_FIPS),
            Self::Sts => ("STS", "an --sts-region", STS_FIPS),
            Self::RolesAnywhere => (
                "Roles Anywhere",
                "a trust anchor in a region",
                ROLES_ANYWHERE_FIPS,
            ),
        };
        if variant.fips && !govcloud && !with_fips.contains(&region) {
            let list = with_fips.join(", ");
            let expected = format!(
                "false, or {setting} where {service} has FIPS endpoints: {list} or GovCloud's; {region} has none"
            );
            return Err(conflict(settings::USE_FIPS_ENDPOINT.setting(), expected));
        }
        let name = match (self, variant.fips) {
            (Self::Amp, false) => "aps-workspaces",
            (Self::Amp, true) => "aps-workspaces-fips",
            // GovCloud's plain host is a FIPS one.
            (Self::Sts, true) if govcloud && !variant.dual_stack => "sts",
            (Self::Sts, true) => "sts-fips",
            (Self::Sts, false) => "sts",
            (Self::RolesAnywhere, true) => "rolesanywhere-fips",
            (Self::RolesAnywhere, false) => "rolesanywhere",
        };
        let suffix = if variant.dual_stack {
            partition.dual_stack_suffix
        } else {
            partition.suffix
        };
        Ok(format!("{name}.{region}.{suffix}"))
    }

    /// The conflict of the service's custom URL, which `custom` set, if any.
    pub(super) fn conflicts(
        self,
        custom: &'static Setting,
        host: &str,
        region: &str,
        variant: HostVariant,
    ) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        let flag = custom.flag;
        if self == Self::Amp && (host.starts_with("aps.") || host.contains(".aps.")) {
            let expected = "a host of aps-workspaces: aps is the API that manages workspaces, not the one to write to";
            conflicts.push(conflict(custom, expected));
        }
        let other = self
            .region_of(host)
            .filter(|of_host| of_host.name != region);
        if let Some(HostRegion { name, private_link }) = other {
            let setting = match self {
                Self::Amp => settings::REGION.setting(),
                Self::Sts => settings::STS_REGION.setting(),
                Self::RolesAnywhere => settings::TRUST_ANCHOR_ARN.setting(),
            };
            let unset = match self {
                Self::RolesAnywhere => ", in the ARN",
                _ if private_link => "",
                Self::Amp | Self::Sts => ", or no value",
            };
            let expected = format!("the region in the host of --{flag}, {name}{unset}");
            conflicts.push(conflict(setting, expected));
        }
        let own = self.host(region, variant);
        for (wanted, setting) in [
            (variant.fips, settings::USE_FIPS_ENDPOINT.setting()),
            (
                variant.dual_stack,
                settings::USE_DUALSTACK_ENDPOINT.setting(),
            ),
        ] {
            if wanted && own.as_deref().ok() != Some(host) {
                let expected = format!(
                    "false with --{flag}: its host {host} is not the one that this selects"
                );
                conflicts.push(conflict(setting, expected));
            }
        }
        conflicts
    }

    /// The region in one of the service's own hosts.
    pub(super) fn region_of(self, host: &str) -> Option<HostRegion<'_>> {
        let (first, rest) = host.split_once('.')?;
        let private_link = first.starts_with("vpce-");
        let (service, rest) = if private_link {
            rest.split_once('.')?
        } else {
            (first, rest)
        };
        let ours = match self {
            Self::Amp => ["aps-workspaces", "aps-workspaces-fips"],
            Self::Sts => ["sts", "sts-fips"],
            Self::RolesAnywhere => ["rolesanywhere", "rolesanywhere-fips"],
        };
        let (name, suffix) = rest.split_once('.')?;
        let partition = partition_of(name);
        let suffix = if private_link {
            suffix.strip_prefix("vpce.")?
        } else {
            suffix
        };
        let known = suffix == partition.suffix || suffix == partition.dual_stack_suffix;
        let valid = values::region(name).is_ok() && known && ours.contains(&service);
        valid.then_some(HostRegion { name, private_link })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns of a table, the first of them service, and variant the `variant`th.
    fn columns(line: &str, variant: usize) -> (AwsService, HostVariant, Vec<&str>) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let service = match columns[0] {
            "Amp" => AwsService::Amp,
            "RolesAnywhere" => AwsService::RolesAnywhere,
            _ => AwsService::Sts,
        };
        let (fips, dual_stack) = match columns[variant] {
            "PLAIN" => (false, false),
            "FIPS" => (true, false),
            "DUAL" => (false, true),
            _ => (true, true),
        };
        (service, HostVariant { fips, dual_stack }, columns)
    }

    const HOSTS: &str = "
        Amp eu-central-1   PLAIN aps-workspaces.eu-central-1.amazonaws.com
        Amp eu-central-1   DUAL  aps-workspaces.eu-central-1.api.aws
        Amp us-west-2      FIPS  aps-workspaces-fips.us-west-2.amazonaws.com
        Amp ca-west-1      BOTH  aps-workspaces-fips.ca-west-1.api.aws
        Amp us-gov-west-1  PLAIN aps-workspaces.us-gov-west-1.amazonaws.com
        Amp us-gov-east-1  FIPS  aps-workspaces-fips.us-gov-east-1.amazonaws.com
        Amp eusc-de-east-1 PLAIN aps-workspaces.eusc-de-east-1.amazonaws.eu
        Sts eu-central-1   PLAIN sts.eu-central-1.amazonaws.com
        Sts eu-central-1   DUAL  sts.eu-central-1.api.aws
        Sts us-east-2      FIPS  sts-fips.us-east-2.amazonaws.com
        Sts us-east-2      BOTH  sts-fips.us-east-2.api.aws
        Sts us-gov-west-1  FIPS  sts.us-gov-west-1.amazonaws.com
        Sts us-gov-west-1  DUAL  sts.us-gov-west-1.api.aws
        Sts cn-north-1     PLAIN sts.cn-north-1.amazonaws.com.cn
        Sts cn-north-1     DUAL  sts.cn-north-1.api.amazonwebservices.com.cn
        Sts us-iso-east-1  PLAIN sts.us-iso-east-1.c2s.ic.gov
        Sts us-isob-east-1 PLAIN sts.us-isob-east-1.sc2s.sgov.gov
        Sts eu-isoe-west-1 PLAIN sts.eu-isoe-west-1.cloud.adc-e.uk
        Sts us-isof-south-1 PLAIN sts.us-isof-south-1.csp.hci.ic.gov
        RolesAnywhere eu-central-1  PLAIN rolesanywhere.eu-central-1.amazonaws.com
        RolesAnywhere eu-central-1  DUAL  rolesanywhere.eu-central-1.api.aws
        RolesAnywhere us-east-1     FIPS  rolesanywhere-fips.us-east-1.amazonaws.com
        RolesAnywhere us-west-2     BOTH  rolesanywhere-fips.us-west-2.api.aws
        RolesAnywhere us-gov-east-1 FIPS  rolesanywhere-fips.us-gov-east-1.amazonaws.com
        RolesAnywhere cn-north-1    PLAIN rolesanywhere.cn-north-1.amazonaws.com.cn";

    #[test]
    fn hosts_are_those_of_awss_documentation() {
        for line in HOSTS.trim().lines() {
            let (service, variant, columns) = columns(line, 2);
            let (name, host) = (columns[1], columns[3]);
            assert_eq!(service.host(name, variant).as_deref(), Ok(host));
            // The host can be parsed back.
            let private_link = false;
            assert_eq!(
                service.region_of(host),
                Some(HostRegion { name, private_link })
            );
        }
    }

    const MISSING: &str = "
        Amp cn-north-1    PLAIN region            which China does not have, or --remote-write-url
        Amp us-iso-east-1 PLAIN region            AMP's host in aws-iso is not public
        Amp eu-central-1  FIPS  use-fips-endpoint us-west-2, ca-central-1, ca-west-1 or GovCloud's; eu-central-1 has none
        Sts ca-central-1  BOTH  use-fips-endpoint an --sts-region where STS has FIPS endpoints: us-east-1, us-east-2,";

    #[test]
    fn a_missing_host_is_named_with_what_there_is() {
        for line in MISSING.trim().lines() {
            let (service, variant, columns) = columns(line, 2);
            let conflict = service.host(columns[1], variant).unwrap_err();
            assert_eq!(conflict.setting.flag, columns[3]);
            let words = columns[4..].join(" ");
            assert!(conflict.expected.contains(&words), "{}", conflict.expected);
        }
    }

    /// Service, host, region, variant, and the settings in conflict.
    const CUSTOM: &str = "
        Amp vpce-0a1b-2c3d.aps-workspaces.us-west-2.vpce.amazonaws.com us-west-2  PLAIN
        Amp vpce-0a1b-2c3d.aps-workspaces.us-west-2.vpce.amazonaws.com us-east-1  PLAIN region
        Amp vpce-0a1b-2c3d.aps-workspaces.us-west-2.vpce.amazonaws.com us-west-2  FIPS  use-fips-endpoint
        Amp vpce-0a1b-2c3d.aps-workspaces.us-west-2.vpce.amazonaws.com us-east-1  BOTH  region use-fips-endpoint use-dualstack-endpoint
        Amp aps-workspaces-fips.us-west-2.amazonaws.com                us-west-2  PLAIN
        Amp aps-workspaces-fips.us-west-2.amazonaws.com                us-west-2  FIPS
        Amp aps-workspaces-fips.us-west-2.amazonaws.com                us-west-2  DUAL  use-dualstack-endpoint
        Amp amp.example.com                                            us-west-2  PLAIN
        Amp amp.example.com                                            cn-north-1 PLAIN
        Amp amp.example.com                                            us-west-2  DUAL  use-dualstack-endpoint
        Amp aps.us-west-2.amazonaws.com                                us-west-2  PLAIN remote-write-url
        Amp vpce-1.aps.us-west-2.vpce.amazonaws.com                    us-west-2  PLAIN remote-write-url
        Sts vpce-1.sts.us-west-2.vpce.amazonaws.com                    eu-west-1  PLAIN sts-region
        Sts sts.us-east-1.amazonaws.com                                us-east-1  PLAIN
        Sts sts.amazonaws.com                                          us-east-1  PLAIN";

    #[test]
    fn a_custom_host_must_not_contradict_other_settings() {
        for line in CUSTOM.trim().lines() {
            let (service, variant, columns) = columns(line, 3);
            let url = settings::REMOTE_WRITE_URL.setting();
            let conflicts = service.conflicts(url, columns[1], columns[2], variant);
            let named: Vec<&str> = conflicts.iter().map(|one| one.setting.flag).collect();
            assert_eq!(named, columns[4..], "{line}");
        }
    }

    #[test]
    fn only_awss_own_hosts_show_a_region() {
        for host in [
            "aps-workspaces.us-west-2.example.com",
            "aps-workspaces.us-west-2.amazonaws.com.evil",
            "us-west-2.amazonaws.com",
            "aps-workspaces.cn-north-1.amazonaws.com",
            "x.aps-workspaces.us-west-2.vpce.amazonaws.com",
            "sts.us-west-2.amazonaws.com",
            "aps-workspaces.nowhere.amazonaws.com",
            "localhost",
            "",
        ] {
            assert_eq!(AwsService::Amp.region_of(host), None, "{host}");
        }
        let private = AwsService::Amp
            .region_of("vpce-1-us-west-2a.aps-workspaces.us-west-2.vpce.amazonaws.com");
        assert_eq!(
            private,
            Some(HostRegion {
                name: "us-west-2",
                private_link: true
            })
        );
    }

    #[test]
    fn role_and_regions_are_of_one_partition() {
        let named = |region, sts_region, arn| -> Vec<&str> {
            let conflicts = one_partition(region, sts_region, Some(arn));
            conflicts
                .iter()
                .map(|conflict| conflict.setting.flag)
                .collect()
        };
        let (aws, gov) = (
            "arn:aws:iam::111122223333:role/amp",
            "arn:aws-us-gov:iam::111122223333:role/amp",
        );
        assert!(named("eu-central-1", "us-east-1", aws).is_empty());
        assert!(named("us-gov-west-1", "us-gov-east-1", gov).is_empty());
        assert_eq!(
            named("us-gov-west-1", "us-east-1", aws),
            ["sts-region", "role-arn"]
        );
        assert_eq!(named("eu-central-1", "eu-central-1", gov), ["role-arn"]);
    }
}
