"""The chart, rendered by Helm's own library in every mode, and refused where it must be."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import yaml
from helm_python.chart import Chart, lint
from helm_python.config import Config
from helm_python.errors import HelmError

from .cluster import cluster
from .mixin import OWN_RUNBOOKS
from .prometheus import promtool
from .report import DEPLOY, ROOT, Document, Report

CHART = DEPLOY / "helm" / "amp-sidecar"
PARENT = DEPLOY / "helm" / "example-parent"
OLD, NATIVE = ("1.25", "1.37"), ("1.29", "1.37")

AWS = {
    "aws": {
        "region": "eu-central-1",
        "workspaceId": "ws-00000000-0000-0000-0000-000000000000",
        "roleArn": "arn:aws:iam::111122223333:role/amp-sidecar",
    }
}
SEVERAL = {
    "config": {
        "workspaces": [
            {"name": "production", "region": "eu-central-1", "workspace_id": "ws-1", "role_arn": "arn:aws:iam::111122223333:role/one"},
            {"region": "us-west-2", "workspace_id": "ws-2", "role_arn": "arn:aws:iam::444455556666:role/two"},
        ]
    }
}
TLS = {"secretName": "gateway-tls"}
BEARER = {"secretName": "senders"}
# A private CA from a Secret, and where the pod may run.
PLACED = {
    "settings": {"AWS_CA_BUNDLE": "/etc/private-ca/ca.crt"},
    "extraEnv": [{"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}],
    "extraVolumes": [{"name": "private-ca", "secret": {"secretName": "private-ca"}}],
    "extraVolumeMounts": [{"name": "private-ca", "mountPath": "/etc/private-ca", "readOnly": True}],
    "podAnnotations": {"example": "yes"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "monitoring", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["monitoring"]}]}]
            }
        }
    },
    "priorityClassName": "system-cluster-critical",
}
SCENARIOS = {
    "sidecar": (NATIVE, AWS),
    "sidecar, plain": (OLD, AWS | {"sidecar": {"native": False}}),
    "sidecar, more settings": (
        NATIVE,
        AWS
        | {
            "monitor": {"enabled": True, "labels": {"release": "stack"}},
            "prometheusRule": {"enabled": True},
            "dashboard": {"enabled": True, "labels": {"grafana_dashboard": "yes"}},
            "settings": {"AMP_SIDECAR_SESSION_DURATION": "2h", "AMP_SIDECAR_DRAIN_IDLE": "10s"},
            "serviceAccount": {"name": "prometheus", "annotations": {"example": "yes"}},
            "image": {"digest": "sha256:" + "0" * 64},
            "imagePullSecrets": [{"name": "registry"}],
            "podLabels": {"azure.workload.identity/use": "true"},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            "prometheus": {
                "externalLabels": {"cluster": "one"},
                "scrapeConfigs": [{"job_name": "more", "static_configs": [{"targets": ["node:9100"]}]}],
                "remoteWrite": {"queue_config": {"max_shards": 20, "batch_send_deadline": "2s"}},
                "storage": {"storageClassName": "fast"},
            },
        },
    ),
    "sidecar, placed": (NATIVE, AWS | PLACED),
    "sidecar, several workspaces": (NATIVE, SEVERAL | {"prometheus": {"remoteWrite": {"remote_timeout": "30s"}}}),
    "gateway, several workspaces": (OLD, SEVERAL | {"mode": "gateway", "gateway": {"allowAnyone": True}}),
    "gateway, placed": (OLD, AWS | PLACED | {"mode": "gateway", "gateway": {"allowAnyone": True}}),
    "gateway, token": (OLD, AWS | {"mode": "gateway", "gateway": {"tls": TLS, "bearerToken": BEARER}}),
    "gateway, certificate": (OLD, AWS | {"mode": "gateway", "gateway": {"tls": TLS, "clientCa": {"secretName": "ca"}}}),
    "gateway, all": (
        OLD,
        AWS
        | {
            "mode": "gateway",
            "monitor": {"enabled": True, "labels": {"release": "stack"}},
            "imagePullSecrets": [{"name": "registry"}],
            "gateway": {
                "tls": TLS,
                "bearerToken": BEARER,
                "clientCa": {"secretName": "ca"},
                "service": {"annotations": {"example": "yes"}},
            },
        },
    ),
    "gateway, open": (
        OLD,
        AWS
        | {
            "mode": "gateway",
            "gateway": {"allowAnyone": True, "autoscaling": {"enabled": False}, "networkPolicy": {"enabled": False}},
        },
    ),
    "library": (OLD, {"mode": "library"}),
    "library, own runbooks": (
        OLD,
        {
            "mode": "library",
            "runbooks": OWN_RUNBOOKS,
            "monitor": {"enabled": True, "matchLabels": {"app.kubernetes.io/name": "prometheus"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "stack"}},
            "dashboard": {"enabled": True, "annotations": {"grafana_folder": "AMP"}},
        },
    ),
}
REFUSED = {
    "aws.region: the region of the workspace is required": {},
    "aws.workspaceId: the AMP workspace is required": {"aws": {"region": "eu-central-1"}},
    "aws.roleArn: the role that trusts the service account is required": {"aws": AWS["aws"] | {"roleArn": ""}},
    "any client that reaches it writes with the role's permissions": AWS | {"mode": "gateway"},
    "writes with the role's permissions": AWS | {"mode": "gateway", "gateway": {"bearerToken": BEARER}},
    "permissions. Set gateway.tls.secretName": AWS | {"mode": "gateway", "gateway": {"tls": TLS}},
    "'/settings/AMP_SIDECAR_MAX_BODY_BYTES'": AWS | {"settings": {"AMP_SIDECAR_MAX_BODY_BYTES": 33554432}},
    "'/config'": {"config": {"region": "eu-central-1"}},
    "'/mode'": AWS | {"mode": "both"},
    "'/aws/workspaceId'": {"aws": AWS["aws"] | {"workspaceId": "my alias"}},
    "'/aws/roleArn'": {"aws": AWS["aws"] | {"roleArn": "prometheus-amp"}},
    "additional properties 'gatway' not allowed": AWS | {"gatway": {}},
    "'/gateway/networkPolicy/from'": AWS | {"mode": "gateway", "gateway": {"networkPolicy": {"from": []}}},
    "'/runbooks'": AWS | {"runbooks": "docs/runbooks.md"},
    "monitor.matchLabels: in the mode library": {"mode": "library", "monitor": {"enabled": True}},
    "'/extraVolumeMounts/0'": AWS | {"extraVolumeMounts": [{"name": "private-ca"}]},
    "'/prometheus/remoteWrite'": AWS | {"prometheus": {"remoteWrite": {"url": "http://elsewhere"}}},
}


def documents(report: Report) -> list[Document]:
    linted = lint(CHART, AWS, strict=True)
    faults = [message for message in linted["messages"] if message["severity"] > 1]
    report.equal((linted["errors"], faults), ([], []), "helm lint")
    found, rendered = [], set()
    with Chart.load(CHART) as chart:
        for scenario, (versions, values) in SCENARIOS.items():
            where = f"{CHART.relative_to(ROOT)} ({scenario})"
            chart.validate_schema(values)
            for template, text in chart.render(values, name="demo", namespace="monitoring").items():
                if text.strip():
                    rendered.add(template)
                if template.endswith("NOTES.txt"):
                    notes(report, text, where)
                else:
                    found += [Document(where, body, versions) for body in yaml.safe_load_all(text) if body]
        refusals(report, chart)
        clusters(report, chart)
    for file in CHART.rglob("*"):
        name = str(file.relative_to(CHART.parent))
        # Partials render nothing by themselves, and no scenario passes without them.
        if "/templates/" not in name or name in rendered or file.name.startswith("_"):
            report.cover(*([file] if file.is_file() else []))
    return [*found, *parent(report)]


def notes(report: Report, text: str, where: str) -> None:
    """The remote_write that a gateway's notes print."""
    report.expect("{{" not in text and "<no value>" not in text, f"{where}: notes: {text}")
    if "(gateway" in where:
        report.expect("remote_write:" in text, f"{where}: the notes name no remote_write")
        block = text[text.index("remote_write:") :].split("\n\n")[0]
        promtool(report, block + "\n", f"{where}: notes")
        entries = yaml.safe_load(block)["remote_write"]
        report.equal(len(entries), 2 if "several" in where else 1, f"{where}: the workspaces in the notes")


def refusals(report: Report, chart: Chart) -> None:
    for words, values in REFUSED.items():
        try:
            chart.validate_schema(values)
            chart.render(values, name="demo", namespace="monitoring")
            report.expect(False, f"chart: rendered, and should say: {words}")
        except HelmError as error:
            report.expect(words in str(error), f"chart: should say: {words}; says: {error}")


def clusters(report: Report, chart: Chart) -> None:
    """What only a cluster knows: its version, and a service account that exists already."""
    release = {"meta.helm.sh/release-name": "demo"}
    existing = "serviceAccount.create=false"
    for minor, account, values, refused in (
        (28, {}, AWS, "this is Kubernetes v1.28.0, and native sidecars need 1.29"),
        (28, {}, AWS | {"sidecar": {"native": False}}, None),
        (29, {}, AWS, None),
        (29, {"prometheus": {}}, AWS | {"serviceAccount": {"name": "prometheus"}}, existing),
        (29, {"prometheus": release | {"meta.helm.sh/release-name": "other"}}, AWS | {"serviceAccount": {"name": "prometheus"}}, existing),
        (29, {"prometheus": release}, AWS | {"serviceAccount": {"name": "prometheus"}}, None),
        (29, {"prometheus": {}}, AWS | {"serviceAccount": {"name": "prometheus", "create": False}}, None),
    ):
        what = f"Kubernetes 1.{minor} with {account}"
        with cluster(minor, account, "monitoring") as kubeconfig:
            with Config(kubeconfig_content=kubeconfig, namespace="monitoring", storage_driver="memory") as config:
                try:
                    config.install(chart, "demo", values, namespace="monitoring", dry_run="server")
                    said = "nothing"
                except HelmError as error:
                    said = str(error)
        # That cluster has no OpenAPI, which Helm asks for once all templates are rendered.
        report.expect((refused or "failed to download openapi") in said, f"chart, {what}: should say: {refused}; says: {said}")


def parent(report: Report) -> list[Document]:
    """A chart of somebody's own that takes the container from this one."""
    report.cover(*(file for file in PARENT.rglob("*") if file.is_file()))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PARENT.name
        shutil.copytree(PARENT, copy)
        # As `helm dependency update` would do.
        shutil.copytree(CHART, copy / "charts" / CHART.name)
        with Chart.load(copy) as chart:
            chart.validate_schema()
            texts = chart.render(name="demo", namespace="monitoring").items()
    where = str(PARENT.relative_to(ROOT))
    return [
        Document(where, body, NATIVE)
        for template, text in texts
        if not template.endswith("NOTES.txt")
        for body in yaml.safe_load_all(text)
        if body
    ]
