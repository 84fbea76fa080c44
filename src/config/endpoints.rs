//! Which host stands for AMP and for STS: AWS' own by region and variant, or the one that was given.
//!
//! In: a service, a region, what `--use-fips-endpoint` and `--use-dualstack-endpoint` say, and a URL where one was given. Out: a
//! host, or a [`Misfit`] that names the setting to change and how. Pure: nothing is asked of the network. Partitions and
//! hosts are those of AWS' endpoint documentation and of botocore's `partitions.json` and rule sets (1.44).
//!
//! A given URL wins over everything, and must not contradict what else was said. As in AWS' SDKs, FIPS or dual stack beside a URL
//! of one's own is a fault, since nobody can say whether that host is what was asked for; AWS' own host written out is none.

use super::settings::{self, Setting};

/// What a region belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Partition {
    /// As ARNs name it.
    pub(super) id: &'static str,
    regions: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
}

/// The last one is for every region that no other claims.
const PARTITIONS: &[Partition] = &[
    partition(
        "aws-cn",
        "cn-",
        "amazonaws.com.cn",
        "api.amazonwebservices.com.cn",
    ),
    partition("aws-us-gov", "us-gov-", "amazonaws.com", "api.aws"),
    partition("aws-iso", "us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    partition("aws-iso-b", "us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    partition(
        "aws-iso-e",
        "eu-isoe-",
        "cloud.adc-e.uk",
        "api.cloud-aws.adc-e.uk",
    ),
    partition(
        "aws-iso-f",
        "us-isof-",
        "csp.hci.ic.gov",
        "api.aws.hci.ic.gov",
    ),
    partition(
        "aws-eusc",
        "eusc-",
        "amazonaws.eu",
        "api.amazonwebservices.eu",
    ),
    AWS,
];
const AWS: Partition = partition("aws", "", "amazonaws.com", "api.aws");

/// Regions with FIPS hosts, beside those of GovCloud.
const AMP_FIPS: &[&str] = &[
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ca-central-1",
    "ca-west-1",
];
const STS_FIPS: &[&str] = &["us-east-1", "us-east-2", "us-west-1", "us-west-2"];

/// One of AWS' services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Where batches go.
    Amp,
    /// Where credentials come from.
    Sts,
}

/// Which of a service's hosts is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) fips: bool,
    pub(super) dual_stack: bool,
}

/// What does not fit, and what would.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) setting: &'static Setting,
    pub(super) expected: String,
}

/// The region that stands in one of AWS' hosts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    pub(super) region: &'a str,
    /// A PrivateLink host is no proof of its region, but may contradict another.
    pub(super) private_link: bool,
}

const fn partition(
    id: &'static str,
    regions: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
) -> Partition {
    Partition {
        id,
        regions,
        suffix,
        dual_stack_suffix,
    }
}

fn misfit<T>(setting: &'static Setting, expected: impl Into<String>) -> Result<T, Misfit> {
    Err(Misfit {
        setting,
        expected: expected.into(),
    })
}

/// The region's partition.
pub(super) fn partition_of(region: &str) -> &'static Partition {
    let mut partitions = PARTITIONS.iter();
    partitions
        .find(|partition| region.starts_with(partition.regions))
        .unwrap_or(&AWS)
}

/// The role's ARN must be of the partition that the workspace's region is in, and so must STS' region.
pub(super) fn one_partition(region: &str, sts_region: &str, role_arn: Option<&str>) -> Vec<Misfit> {
    let here = partition_of(region).id;
    let mut misfits = Vec::new();
    if partition_of(sts_region).id != here {
        misfits.push(Misfit {
            setting: &settings::STS_REGION,
            expected: format!(
                "a region of the partition {here}, as the workspace's region {region} is"
            ),
        });
    }
    let of_role = role_arn.and_then(|arn| arn.split(':').nth(1));
    if of_role.is_some_and(|of_role| of_role != here) {
        misfits.push(Misfit {
            setting: &settings::ROLE_ARN,
            expected: format!("a role of the partition {here}, as arn:{here}:iam::…, since the region {region} is there"),
        });
    }
    misfits
}

// === impl Service ===

impl Service {
    /// AWS' own host.
    pub(super) fn host(self, region: &str, variant: Variant) -> Result<String, Misfit> {
        let partition = partition_of(region);
        let govcloud = partition.id == "aws-us-gov";
        if self == Self::Amp && partition.id == "aws-cn" {
            return misfit(
                &settings::REGION,
                "a region where AMP is, which is nowhere in China, or --remote-write-url",
            );
        }
        if self == Self::Amp && partition.id.starts_with("aws-iso") {
            let expected = format!(
                "--remote-write-url beside it: AMP's host in {} is not public",
                partition.id
            );
            return misfit(&settings::REGION, expected);
        }
        let with_fips = self.regions_with_fips();
        if variant.fips && !govcloud && !with_fips.contains(&region) {
            let (service, setting) = match self {
                Self::Amp => ("AMP", "a region"),
                Self::Sts => ("STS", "an --sts-region"),
            };
            let list = with_fips.join(", ");
            let expected = format!(
                "false, or {setting} where {service} has FIPS endpoints, {list} or GovCloud's; {region} has none"
            );
            return misfit(&settings::USE_FIPS_ENDPOINT, expected);
        }
        let name = match (self, variant.fips) {
            (Self::Amp, false) => "aps-workspaces",
            (Self::Amp, true) => "aps-workspaces-fips",
            // GovCloud's plain host is a FIPS one.
            (Self::Sts, true) if govcloud && !variant.dual_stack => "sts",
            (Self::Sts, true) => "sts-fips",
            (Self::Sts, false) => "sts",
        };
        let suffix = if variant.dual_stack {
            partition.dual_stack_suffix
        } else {
            partition.suffix
        };
        Ok(format!("{name}.{region}.{suffix}"))
    }

    /// What contradicts the host that was given for the service by `given`; `region` is what was said beside it.
    pub(super) fn contradictions(
        self,
        given: &'static Setting,
        host: &str,
        region: &str,
        variant: Variant,
    ) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        let region_setting = match self {
            Self::Amp => &settings::REGION,
            Self::Sts => &settings::STS_REGION,
        };
        if self == Self::Amp && (host.starts_with("aps.") || host.contains(".aps.")) {
            misfits.push(Misfit {
                setting: given,
                expected:
                    "a host of aps-workspaces: aps is where workspaces are managed, not written to"
                        .to_owned(),
            });
        }
        if let Some(shown) = self.shown(host).filter(|shown| shown.region != region) {
            misfits.push(Misfit {
                setting: region_setting,
                expected: format!("the region of --{}'s host, {}", given.flag, shown.region)
                    + if shown.private_link { "" } else { ", or none" },
            });
        }
        for (wanted, setting) in [
            (variant.fips, &settings::USE_FIPS_ENDPOINT),
            (variant.dual_stack, &settings::USE_DUALSTACK_ENDPOINT),
        ] {
            let chosen = self.host(region, variant);
            if wanted && chosen.as_deref().ok() != Some(host) {
                misfits.push(Misfit {
                    setting,
                    expected: format!("false beside --{}, whose host {host} is not among those that it chooses from", given.flag),
                });
            }
        }
        misfits
    }

    /// The region that one of the service's own hosts shows.
    pub(super) fn shown(self, host: &str) -> Option<Shown<'_>> {
        let (first, rest) = host.split_once('.')?;
        let (name, rest, private_link) = if first.starts_with("vpce-") {
            let (name, rest) = rest.split_once('.')?;
            (name, rest, true)
        } else {
            (first, rest, false)
        };
        let ours = match self {
            Self::Amp => ["aps-workspaces", "aps-workspaces-fips"],
            Self::Sts => ["sts", "sts-fips"],
        };
        let (region, suffix) = rest.split_once('.')?;
        let partition = partition_of(region);
        let suffix = if private_link {
            suffix.strip_prefix("vpce.")?
        } else {
            suffix
        };
        let known = suffix == partition.suffix || suffix == partition.dual_stack_suffix;
        let shown = super::values::region(region).is_ok() && known && ours.contains(&name);
        shown.then_some(Shown {
            region,
            private_link,
        })
    }

    fn regions_with_fips(self) -> &'static [&'static str] {
        match self {
            Self::Amp => AMP_FIPS,
            Self::Sts => STS_FIPS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Variant = Variant {
        fips: false,
        dual_stack: false,
    };
    const FIPS: Variant = Variant {
        fips: true,
        dual_stack: false,
    };
    const DUAL: Variant = Variant {
        fips: false,
        dual_stack: true,
    };
    const BOTH: Variant = Variant {
        fips: true,
        dual_stack: true,
    };

    #[test]
    fn hosts_are_those_of_awss_documentation() {
        use Service::{Amp, Sts};
        for (service, region, variant, host) in [
            (
                Amp,
                "eu-central-1",
                PLAIN,
                "aps-workspaces.eu-central-1.amazonaws.com",
            ),
            (
                Amp,
                "eu-central-1",
                DUAL,
                "aps-workspaces.eu-central-1.api.aws",
            ),
            (
                Amp,
                "us-west-2",
                FIPS,
                "aps-workspaces-fips.us-west-2.amazonaws.com",
            ),
            (
                Amp,
                "ca-west-1",
                BOTH,
                "aps-workspaces-fips.ca-west-1.api.aws",
            ),
            (
                Amp,
                "us-gov-west-1",
                PLAIN,
                "aps-workspaces.us-gov-west-1.amazonaws.com",
            ),
            (
                Amp,
                "us-gov-east-1",
                FIPS,
                "aps-workspaces-fips.us-gov-east-1.amazonaws.com",
            ),
            (
                Amp,
                "eusc-de-east-1",
                PLAIN,
                "aps-workspaces.eusc-de-east-1.amazonaws.eu",
            ),
            (Sts, "eu-central-1", PLAIN, "sts.eu-central-1.amazonaws.com"),
            (Sts, "eu-central-1", DUAL, "sts.eu-central-1.api.aws"),
            (Sts, "us-east-2", FIPS, "sts-fips.us-east-2.amazonaws.com"),
            (Sts, "us-east-2", BOTH, "sts-fips.us-east-2.api.aws"),
            (
                Sts,
                "us-gov-west-1",
                FIPS,
                "sts.us-gov-west-1.amazonaws.com",
            ),
            (Sts, "us-gov-west-1", DUAL, "sts.us-gov-west-1.api.aws"),
            (Sts, "cn-north-1", PLAIN, "sts.cn-north-1.amazonaws.com.cn"),
            (
                Sts,
                "cn-north-1",
                DUAL,
                "sts.cn-north-1.api.amazonwebservices.com.cn",
            ),
            (Sts, "us-iso-east-1", PLAIN, "sts.us-iso-east-1.c2s.ic.gov"),
            (
                Sts,
                "us-isob-east-1",
                PLAIN,
                "sts.us-isob-east-1.sc2s.sgov.gov",
            ),
            (
                Sts,
                "eu-isoe-west-1",
                PLAIN,
                "sts.eu-isoe-west-1.cloud.adc-e.uk",
            ),
            (
                Sts,
                "us-isof-south-1",
                PLAIN,
                "sts.us-isof-south-1.csp.hci.ic.gov",
            ),
        ] {
            assert_eq!(service.host(region, variant).as_deref(), Ok(host));
            // What is made can be read back.
            assert_eq!(
                service.shown(host),
                Some(Shown {
                    region,
                    private_link: false
                })
            );
        }
    }

    #[test]
    fn what_is_nowhere_is_said_with_what_there_is() {
        use Service::{Amp, Sts};
        for (service, region, variant, flag, words) in [
            (
                Amp,
                "cn-north-1",
                PLAIN,
                "region",
                "nowhere in China, or --remote-write-url",
            ),
            (
                Amp,
                "us-iso-east-1",
                PLAIN,
                "region",
                "AMP's host in aws-iso is not public",
            ),
            (
                Amp,
                "eu-central-1",
                FIPS,
                "use-fips-endpoint",
                "us-west-2, ca-central-1, ca-west-1 or GovCloud's; eu-central-1 has none",
            ),
            (
                Sts,
                "ca-central-1",
                BOTH,
                "use-fips-endpoint",
                "an --sts-region where STS has FIPS endpoints, us-east-1, us-east-2,",
            ),
        ] {
            let told = service.host(region, variant).unwrap_err();
            assert_eq!(told.setting.flag, flag);
            assert!(told.expected.contains(words), "{}", told.expected);
        }
    }

    #[test]
    fn a_given_host_must_not_contradict() {
        use Service::{Amp, Sts};
        const VPCE: &str = "vpce-0a1b-2c3d.aps-workspaces.us-west-2.vpce.amazonaws.com";
        const FIPS_HOST: &str = "aps-workspaces-fips.us-west-2.amazonaws.com";
        let url = &settings::REMOTE_WRITE_URL;
        for (service, host, region, variant, flags) in [
            (Amp, VPCE, "us-west-2", PLAIN, &[][..]),
            (Amp, VPCE, "us-east-1", PLAIN, &["region"]),
            (Amp, VPCE, "us-west-2", FIPS, &["use-fips-endpoint"]),
            (
                Amp,
                VPCE,
                "us-east-1",
                BOTH,
                &["region", "use-fips-endpoint", "use-dualstack-endpoint"],
            ),
            (Amp, FIPS_HOST, "us-west-2", PLAIN, &[]),
            (Amp, FIPS_HOST, "us-west-2", FIPS, &[]),
            (
                Amp,
                FIPS_HOST,
                "us-west-2",
                DUAL,
                &["use-dualstack-endpoint"],
            ),
            (Amp, "amp.example.com", "us-west-2", PLAIN, &[]),
            (Amp, "amp.example.com", "cn-north-1", PLAIN, &[]),
            (
                Amp,
                "amp.example.com",
                "us-west-2",
                DUAL,
                &["use-dualstack-endpoint"],
            ),
            (
                Amp,
                "aps.us-west-2.amazonaws.com",
                "us-west-2",
                PLAIN,
                &["remote-write-url"],
            ),
            (
                Amp,
                "vpce-1.aps.us-west-2.vpce.amazonaws.com",
                "us-west-2",
                PLAIN,
                &["remote-write-url"],
            ),
            (
                Sts,
                "vpce-1.sts.us-west-2.vpce.amazonaws.com",
                "eu-west-1",
                PLAIN,
                &["sts-region"],
            ),
            (Sts, "sts.us-east-1.amazonaws.com", "us-east-1", PLAIN, &[]),
            (Sts, "sts.amazonaws.com", "us-east-1", PLAIN, &[]),
        ] {
            let told = service.contradictions(url, host, region, variant);
            let named: Vec<&str> = told.iter().map(|misfit| misfit.setting.flag).collect();
            assert_eq!(named, flags, "{host} {region} {variant:?}");
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
            assert_eq!(Service::Amp.shown(host), None, "{host}");
        }
        let private =
            Service::Amp.shown("vpce-1-us-west-2a.aps-workspaces.us-west-2.vpce.amazonaws.com");
        assert_eq!(
            private,
            Some(Shown {
                region: "us-west-2",
                private_link: true
            })
        );
    }

    #[test]
    fn role_and_regions_are_of_one_partition() {
        let named = |region, sts_region, arn| -> Vec<&str> {
            let told = one_partition(region, sts_region, Some(arn));
            told.iter().map(|misfit| misfit.setting.flag).collect()
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
