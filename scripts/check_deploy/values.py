"""The pod of docs/kubernetes.md, and the examples for the Prometheus Operator and for others' charts.

The charts cannot be had here: their values are put where the charts put them (the containers, the volumes and
remote_write go through unchanged), and what comes of it is checked. A key that is not put anywhere is a fault.
"""

from __future__ import annotations

import yaml

from .report import DEPLOY, ROOT, Document, Report

VERSIONS = ("1.29", "1.37")


def documents(report: Report) -> list[Document]:
    return [page(), *operator(report), *kube_prometheus_stack(report), *prometheus_chart(report)]


def page() -> Document:
    """The first example, which is what most will copy."""
    where = "docs/kubernetes.md"
    block = (ROOT / where).read_text().split("<!-- pod: checked by scripts/check-deploy -->\n```yaml\n")[1].split("```")[0]
    return Document(where, workload(yaml.safe_load(block)["spec"]), VERSIONS)


def operator(report: Report) -> list[Document]:
    found = []
    for file in sorted((DEPLOY / "operator").glob("*.yaml")):
        report.cover(file)
        found += [Document(str(file.relative_to(ROOT)), body, VERSIONS) for body in yaml.safe_load_all(file.read_text())]
    return found


def kube_prometheus_stack(report: Report) -> list[Document]:
    where, values = load(report, "kube-prometheus-stack")
    prometheus = values.pop("prometheus")
    spec = {"serviceAccountName": prometheus.pop("serviceAccount")["name"], **prometheus.pop("prometheusSpec")}
    monitors = prometheus.pop("additionalPodMonitors")
    report.equal((values, prometheus), ({}, {}), f"{where}: keys that nothing checks")
    return [
        Document(where, custom("Prometheus", "example", spec), VERSIONS),
        *(Document(where, custom("PodMonitor", monitor.pop("name"), monitor), VERSIONS) for monitor in monitors),
    ]


def prometheus_chart(report: Report) -> list[Document]:
    where, values = load(report, "prometheus-chart")
    server = values.pop("server")
    pod = {
        "serviceAccountName": values.pop("serviceAccounts")["server"]["name"],
        "terminationGracePeriodSeconds": server.pop("terminationGracePeriodSeconds"),
        "initContainers": server.pop("extraInitContainers"),
        "containers": [{"name": "prometheus-server", "image": "prometheus"}],
        "volumes": server.pop("extraVolumes"),
    }
    # The patch that adds what the chart has no value for.
    file = DEPLOY / "prometheus-chart" / "pre-stop.yaml"
    report.cover(file)
    (container,) = yaml.safe_load(file.read_text())["spec"]["template"]["spec"]["containers"]
    report.equal(container["name"], pod["containers"][0]["name"], f"{file.relative_to(ROOT)}: the container")
    pod["containers"][0] |= container
    config = {"remote_write": server.pop("remoteWrite"), "scrape_configs": yaml.safe_load(values.pop("extraScrapeConfigs"))}
    report.equal((values, server), ({}, {}), f"{where}: keys that nothing checks")
    return [
        Document(where, workload(pod), VERSIONS),
        Document(where, config_map(config), VERSIONS),
    ]


def load(report: Report, folder: str) -> tuple[str, dict]:
    file = DEPLOY / folder / "values.yaml"
    report.cover(file)
    return str(file.relative_to(ROOT)), yaml.safe_load(file.read_text())


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
