"""CloudFormation by cfn-lint, and created in moto; Terraform parsed, and compared with CloudFormation.

The policies that come out are compared to the letter, once for an issuer with a slash at its end and once for one
without. moto's CloudFormation makes no OIDC providers, though its IAM does: Provider below joins the two. Terraform's AWS
provider cannot be had here, so nothing of it is planned: what is checked is that it parses, asks for the same things under
the same rules, and spells the same policies.
"""

from __future__ import annotations

import re

import boto3
import hcl2
import yaml
from moto import mock_aws
from moto.core.common_models import CloudFormationModel
from moto.iam.models import OpenIDConnectProvider, iam_backends

from .report import DEPLOY, Report

TEMPLATE = DEPLOY / "cloudformation" / "amp-sidecar.yaml"
TERRAFORM = DEPLOY / "terraform"
ISSUERS = (
    "https://westeurope.oic.prod-aks.azure.com/00000000-0000-0000-0000-000000000000/11111111-1111-1111-1111-111111111111/",
    "https://container.googleapis.com/v1/projects/example/locations/europe-west3/clusters/one",
)
ACCOUNT = "123456789012"


class Provider(OpenIDConnectProvider, CloudFormationModel):
    """Lets moto's CloudFormation make the OIDC providers of moto's IAM."""

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::IAM::OIDCProvider"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, name: str) -> str:
        return self.arn

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
        properties = cloudformation_json["Properties"]
        backend = iam_backends[account_id]["aws"]
        made = backend.create_open_id_connect_provider(
            properties["Url"], properties.get("ThumbprintList", []), properties["ClientIdList"], []
        )
        made.__class__ = cls
        return made


def check(report: Report) -> str:
    report.cover(TEMPLATE, *TERRAFORM.glob("*.tf"))
    report.run("cfn-lint", "--include-checks", "I", "--", TEMPLATE, what="CloudFormation")
    for issuer in ISSUERS:
        created(report, issuer)
    terraform(report)
    return f"CloudFormation created for {len(ISSUERS)} issuers, Terraform parsed"


def created(report: Report, issuer: str) -> None:
    own = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    bare = issuer.removeprefix("https://")
    arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{bare}"
    with mock_aws():
        session = boto3.Session(*own.values(), region_name="eu-central-1")
        cloudformation, iam = session.client("cloudformation"), session.client("iam")
        outputs = stack(cloudformation, "first", IssuerUrl=issuer, WorkspaceId="ws-1")
        role = f"arn:aws:iam::{ACCOUNT}:role/amp-sidecar"
        report.equal(outputs, {"RoleArn": role, "Region": "eu-central-1", "WorkspaceId": "ws-1"}, f"{issuer}: outputs")
        provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        report.equal((provider["Url"], provider["ClientIDList"]), (bare, ["sts.amazonaws.com"]), f"{issuer}: provider")
        policies(report, iam, "amp-sidecar", trust(arn, bare, "monitoring:prometheus"), "eu-central-1", "ws-1")
        # A second role for the same issuer, in another region.
        stack(
            cloudformation,
            "second",
            IssuerUrl=issuer,
            WorkspaceId="ws-2",
            WorkspaceRegion="us-east-1",
            Namespace="other",
            ServiceAccount="agent",
            RoleName="second",
            ProviderArn=arn,
        )
        policies(report, iam, "second", trust(arn, bare, "other:agent"), "us-east-1", "ws-2")
        found = [entry["Arn"] for entry in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
        report.equal(found, [arn], f"{issuer}: providers")


def stack(cloudformation, name: str, **parameters: str) -> dict[str, str]:
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    made = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}


def trust(provider: str, issuer: str, subject: str) -> dict:
    conditions = {f"{issuer}:sub": f"system:serviceaccount:{subject}", f"{issuer}:aud": "sts.amazonaws.com"}
    return {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": conditions},
    }


def policies(report: Report, iam, role: str, trusted: dict, region: str, workspace: str) -> None:
    found = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    report.equal(found, {"Version": "2012-10-17", "Statement": [trusted]}, f"{role}: trust policy")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    report.equal(names, ["remote-write"], f"{role}: policies")
    found = iam.get_role_policy(RoleName=role, PolicyName=names[0])["PolicyDocument"]
    # moto shows what a template made as Python would print it, which is YAML too.
    found = yaml.safe_load(str(found))["Statement"]
    resource = f"arn:aws:aps:{region}:{ACCOUNT}:workspace/{workspace}"
    report.equal(found, [{"Effect": "Allow", "Action": "aps:RemoteWrite", "Resource": resource}], f"{role}: permissions")


def terraform(report: Report) -> None:
    blocks = {file.name: hcl2.loads(file.read_text()) for file in sorted(TERRAFORM.glob("*.tf"))}
    report.expect(sorted(blocks) == ["main.tf", "outputs.tf", "variables.tf", "versions.tf"], f"terraform: {sorted(blocks)}")
    template = yaml.load(TEMPLATE.read_text(), Loader=Tags)
    names = {bare(name) for block in blocks["variables.tf"]["variable"] for name in block}
    report.equal(names, {snake(name) for name in template["Parameters"]}, "terraform: variables")
    names = {bare(name) for block in blocks["outputs.tf"]["output"] for name in block}
    report.equal(names, {snake(name) for name in template["Outputs"]}, "terraform: outputs")
    text = (TERRAFORM / "main.tf").read_text()
    # The same policy, with Terraform's names for what CloudFormation's Sub puts in.
    renamed = {
        "${Issuer}": "${local.issuer}",
        "${Namespace}": "${var.namespace}",
        "${ServiceAccount}": "${var.service_account}",
    }
    trusted = template["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"][0]
    for theirs, ours in renamed.items():
        trusted = trusted.replace(theirs, ours)
    conditions = re.findall(r'("[^"]+:(?:sub|aud)"): ("[^"]+")', trusted)
    report.equal(len(conditions), 2, "terraform: conditions")
    for key, value in conditions:
        report.expect(f"{key} = {value}" in text, f"terraform: the trust policy lacks {key} = {value}")
    for words in ('"aps:RemoteWrite"', ":workspace/${var.workspace_id}", "sts:AssumeRoleWithWebIdentity"):
        report.expect(words in text, f"terraform: {words} is missing")


def bare(name: str) -> str:
    return name.strip('"')


def snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


class Tags(yaml.SafeLoader):
    """Reads CloudFormation's short functions as what they are given."""


def plain(loader: yaml.SafeLoader, _: str, node: yaml.Node):
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)


Tags.add_multi_constructor("!", plain)
