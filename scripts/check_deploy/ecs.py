"""deploy/ecs: registered with botocore's model of ECS in moto, its settings read by the program, Prometheus' file by promtool.

botocore refuses what the model of RegisterTaskDefinition does not have, by name; moto then keeps the task definition.
"""

from __future__ import annotations

import json
import os
import subprocess

import boto3
import yaml
from moto import mock_aws

from .prometheus import promtool
from .report import DEPLOY, Report

FOLDER = DEPLOY / "ecs"
DEFINITION, TRUST, PERMISSION = (FOLDER / f"{name}.json" for name in ("task-definition", "trust-policy", "task-role-policy"))
# ECS sets this in every container of a task with a role.
SET_BY_ECS = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/00000000-0000-0000-0000-000000000000"}


def check(report: Report) -> str:
    report.cover(DEFINITION, TRUST, PERMISSION)
    definition = json.loads(DEFINITION.read_text())
    registered(report, definition)
    containers = {container["name"]: container for container in definition["containerDefinitions"]}
    report.equal(sorted(containers), ["amp-sidecar", "prometheus"], "ecs: containers")
    sidecar, prometheus = containers["amp-sidecar"], containers["prometheus"]

    given = variables(sidecar)
    done = subprocess.run(
        [os.environ["AMP_SIDECAR"], "config"], capture_output=True, text=True, env=given | SET_BY_ECS
    )
    report.expect(done.returncode == 0 and not done.stderr, f"ecs: the settings: {done.stderr.strip()}")
    report.expect("\n    credentials: container\n" in done.stdout, f"ecs: not the task's credentials: {done.stdout}")
    resource = json.loads(PERMISSION.read_text())["Statement"][0]["Resource"]
    account = definition["taskRoleArn"].split(":")[4]
    own = f"arn:aws:aps:{given['AWS_REGION']}:{account}:workspace/{given['AMP_SIDECAR_WORKSPACE_ID']}"
    report.equal(resource, own, "ecs: the policy is for the workspace of the settings")

    report.expect(not sidecar.get("portMappings"), "ecs: the sidecar is open to others than its task")
    report.equal(sidecar["user"], "65532:65532", "ecs: the image's user")
    # Started before Prometheus, and so stopped after it has sent what it holds.
    started = [{"containerName": "amp-sidecar", "condition": "START"}]
    report.equal(prometheus["dependsOn"], started, "ecs: Prometheus depends on the sidecar")
    text = variables(prometheus)["PROMETHEUS_YML"]
    promtool(report, text, "ecs")
    printed = report.run(os.environ["AMP_SIDECAR"], "setup", "prometheus", what="ecs: remote_write")
    urls = [[entry["url"] for entry in yaml.safe_load(found)["remote_write"]] for found in (text, printed)]
    report.equal(*urls, "ecs: remote_write as `setup prometheus` prints it")
    return f"a task of {len(containers)} containers registered"


def variables(container: dict) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["environment"]}


def registered(report: Report, definition: dict) -> None:
    own = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "eu-central-1"}
    with mock_aws():
        session = boto3.Session(**own)
        iam = session.client("iam")
        name = definition["taskRoleArn"].rsplit("/")[-1]
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST.read_text())
        iam.put_role_policy(RoleName=name, PolicyName="remote-write", PolicyDocument=PERMISSION.read_text())
        try:
            made = session.client("ecs").register_task_definition(**definition)["taskDefinition"]
        except Exception as error:  # noqa: BLE001 - whatever refuses it is the finding
            report.fault(f"{DEFINITION.name}: {error}")
            return
        for key, value in definition.items():
            if key != "containerDefinitions":
                report.equal(made.get(key), value, f"ecs: {key}, as registered")
