"""The pod of docs/kubernetes.md, and what `setup kubernetes` prints for the Prometheus Operator and for others' charts.

deploy/ has that output with example values, which scripts/check-deploy write puts there. The charts cannot be had here:
their values are put where the charts put them (containers, volumes, remote_write and rules go through unchanged, extra
manifests through Helm's templates), and what comes of it is checked. A key that is not put anywhere is a fault.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import yaml
from helm_python.chart import Chart

from .mixin import OWN_RUNBOOKS
from .report import DEPLOY, ROOT, Document, Report

OLD, NATIVE = ("1.25", "1.37"), ("1.29", "1.37")
FILES = {
    "operator": DEPLOY / "operator" / "prometheus.yaml",
    "kube-prometheus-stack": DEPLOY / "kube-prometheus-stack" / "values.yaml",
    "prometheus-chart": DEPLOY / "prometheus-chart" / "values.yaml",
}
# The form, the Kubernetes versions that it is for, and its arguments.
FORMS = (
    ("native", NATIVE, ()),
    ("plain", OLD, ("--plain",)),
    ("own runbooks", NATIVE, ("--runbooks", OWN_RUNBOOKS)),
)
EXAMPLE = (
    *("--account", "111122223333", "--region", "eu-central-1", "--role-name", "amp-sidecar"),
    *("--workspace-id", "ws-00000000-0000-0000-0000-000000000000"),
)
# As both charts render them.
EXTRA = """{{- range .Values.extraManifests }}
---
{{ if kindIs "string" . }}{{ tpl . $ }}{{ else }}{{ tpl (toYaml .) $ }}{{ end }}
{{- end }}
"""


def printed(runner: str, *more: str) -> str:
    version = yaml.safe_load((DEPLOY / "helm" / "amp-sidecar" / "Chart.yaml").read_text())["appVersion"]
    image = ("--image", f"registry.example/amp-sidecar:{version}")
    command = (os.environ["AMP_SIDECAR"], "setup", "kubernetes", "--for", runner, *EXAMPLE, *image, *more)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def copies() -> dict[Path, str]:
    return {file: printed(runner) for runner, file in FILES.items()}


def documents(report: Report) -> list[Document]:
    found = [page()]
    for file, text in copies().items():
        report.cover(file)
        report.expect(file.read_text() == text, f"{file.relative_to(ROOT)}: not what scripts/check-deploy write writes")
    for form, versions, arguments in FORMS:
        for runner, bodies in (
            ("statefulset", stateful_set),
            ("operator", operator),
            ("kube-prometheus-stack", kube_prometheus_stack),
            ("prometheus-chart", prometheus_chart),
        ):
            where = f"setup kubernetes --for {runner} ({form})"
            found += [Document(where, body, versions) for body in bodies(report, printed(runner, *arguments), where)]
    return found


def page() -> Document:
    """The first example, which is what most will copy."""
    where = "docs/kubernetes.md"
    block = (ROOT / where).read_text().split("<!-- pod: checked by scripts/check-deploy -->\n```yaml\n")[1].split("```")[0]
    return Document(where, workload(yaml.safe_load(block)["spec"]), NATIVE)


def stateful_set(report: Report, text: str, where: str) -> list[dict]:
    """The patch, in a pod whose grace period is what its first lines ask for."""
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    (grace,) = re.findall(r"The grace period must be (\d+) or more", text)
    report.expect("terminationGracePeriodSeconds" not in pod, f"{where}: it changes the user's grace period")
    containers = [{"image": "prometheus", **container} for container in pod.pop("containers")]
    return [workload({**pod, "containers": containers, "terminationGracePeriodSeconds": int(grace)})]


def operator(_report: Report, text: str, _where: str) -> list[dict]:
    return list(yaml.safe_load_all(text))


def kube_prometheus_stack(report: Report, text: str, where: str) -> list[dict]:
    values = yaml.safe_load(text)
    prometheus = values.pop("prometheus")
    account = prometheus.pop("serviceAccount")
    spec = {"serviceAccountName": account["name"], **prometheus.pop("prometheusSpec")}
    # The chart appends it to remoteWrite, which may be the user's own.
    spec["remoteWrite"] = spec.pop("additionalRemoteWrite")
    monitors = prometheus.pop("additionalPodMonitors")
    rules = values.pop("additionalPrometheusRulesMap")
    extra = extra_manifests(values.pop("extraManifests"))
    report.equal((values, prometheus), ({}, {}), f"{where}: keys that nothing checks")
    return [
        custom("Prometheus", "example", spec),
        *(custom("PodMonitor", monitor.pop("name"), monitor) for monitor in monitors),
        *(custom("PrometheusRule", name, rule) for name, rule in rules.items()),
        *extra,
    ]


def prometheus_chart(report: Report, text: str, where: str) -> list[dict]:
    values = yaml.safe_load(text)
    server = values.pop("server")
    # The chart has no value for the hook: a command of the first lines adds it.
    (patch,) = re.findall(r"kubectl patch deployment .* --patch '(.+)'", text)
    (hooked,) = json.loads(patch)["spec"]["template"]["spec"]["containers"]
    report.equal(hooked["name"], "prometheus-server", f"{where}: the container of the hook")
    sidecars = server.pop("sidecarContainers", {})
    pod = {
        "serviceAccountName": values.pop("serviceAccounts")["server"]["name"],
        "terminationGracePeriodSeconds": server.pop("terminationGracePeriodSeconds"),
        "initContainers": server.pop("extraInitContainers", []),
        "containers": [hooked | {"image": "prometheus"}, *({"name": name} | body for name, body in sidecars.items())],
        "volumes": server.pop("extraVolumes"),
    }
    config = {"remote_write": server.pop("remoteWrite"), "scrape_configs": yaml.safe_load(values.pop("extraScrapeConfigs"))}
    rules = values.pop("serverFiles").pop("alerting_rules.yml")
    extra = extra_manifests(values.pop("extraManifests"))
    report.equal((values, server), ({}, {}), f"{where}: keys that nothing checks")
    return [workload(pod), config_map(config), custom("PrometheusRule", "server", rules), *extra]


def extra_manifests(entries: list) -> list[dict]:
    """What Helm makes of them: a dashboard's legends have braces, as templates do."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "templates").mkdir()
        (Path(folder) / "Chart.yaml").write_text("apiVersion: v2\nname: extra\nversion: 0.0.0\n")
        (Path(folder) / "templates" / "extra.yaml").write_text(EXTRA)
        with Chart.load(folder) as chart:
            (rendered,) = chart.render({"extraManifests": entries}, name="demo", namespace="monitoring").values()
    return [body for body in yaml.safe_load_all(rendered) if body]


def workload(pod: dict) -> dict:
    labels = {"app": "prometheus"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "server"}, "spec": spec}


def custom(kind: str, name: str, spec: dict) -> dict:
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def config_map(config: dict) -> dict:
    data = {"prometheus.yml": yaml.safe_dump(config)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "server"}, "data": data}
