"""Alerts, dashboard and runbooks: deploy/mixin is the one source, and what is made from it says the same.

    alerts.yaml ─▶ prometheus-rule.yaml ─▶ kustomize     a PrometheusRule
         └───────▶ the chart's mixin/   ─▶ Helm          the same, and the dashboard in a ConfigMap
    dashboards/ ─▶ kustomize

`scripts/check-deploy write` writes the copies. What the alerts and the dashboard ask of a real Prometheus, and that their
metrics exist, is for tests/it/alerts_and_dashboard.rs; that a link to docs/ leads somewhere is for scripts/check-docs.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

import yaml

from .report import DEPLOY, ROOT, Document, Report

FOLDER = DEPLOY / "mixin"
ALERTS, TESTS = FOLDER / "alerts.yaml", FOLDER / "tests.yaml"
DASHBOARD = FOLDER / "dashboards" / "amp-sidecar.json"
RULE = FOLDER / "prometheus-rule.yaml"
CHART = DEPLOY / "helm" / "amp-sidecar" / "mixin"
RUNBOOKS = "https://git.example/amp-sidecar/blob/main/docs/runbooks.md"
# What the chart is given in one scenario.
OWN_RUNBOOKS = "https://wiki.example/runbooks"
VERSIONS = ("1.29", "1.37")


def copies() -> dict[Path, str]:
    """The files that are made from others."""
    groups = ALERTS.read_text().partition("\ngroups:\n")[2]
    indented = "".join(f"  {line}\n" if line else "\n" for line in f"groups:\n{groups}".splitlines())
    head = "# Written from alerts.yaml by scripts/check-deploy write.\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n"
    return {
        RULE: f"{head}metadata:\n  name: amp-sidecar\nspec:\n{indented}",
        CHART / "alerts.yaml": ALERTS.read_text(),
        CHART / "dashboard.json": DASHBOARD.read_text(),
    }


def documents(report: Report) -> list[Document]:
    where = str(FOLDER.relative_to(ROOT))
    report.cover(ALERTS, TESTS, DASHBOARD, RULE, FOLDER / "kustomization.yaml")
    text = report.run("kubectl", "kustomize", FOLDER, what=where)
    return [Document(where, body, VERSIONS) for body in yaml.safe_load_all(text)]


def check(report: Report, documents: list[Document]) -> str:
    for path, expected in copies().items():
        report.expect(path.read_text() == expected, f"{path.relative_to(ROOT)}: not what scripts/check-deploy write writes")
    report.run("promtool", "check", "rules", ALERTS, what="alerts")
    report.run("promtool", "test", "rules", TESTS, what="alerts")
    document = yaml.safe_load(ALERTS.read_text())
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    for rule in rules:
        alert(report, rule)
    tested(report, document)
    sections = [line[3:] for line in (ROOT / "docs" / "runbooks.md").read_text().splitlines() if line.startswith("## ")]
    report.equal(sections, [rule["alert"] for rule in rules], "docs/runbooks.md: sections, in the order of the alerts")
    found = [rendered(report, document) for document in documents]
    return f"{len(rules)} alerts, rendered {sum(found)} times"


def alert(report: Report, rule: dict) -> None:
    name, notes = rule["alert"], rule["annotations"]
    severity = rule["labels"]["severity"]
    report.expect(severity in ("critical", "warning"), f"{name}: severity {severity}")
    report.expect(severity != "critical" or "for" in rule, f"{name}: pages for what may not last")
    report.equal(sorted(notes), ["description", "runbook_url", "summary"], f"{name}: annotations")
    report.equal(notes["runbook_url"], f"{RUNBOOKS}#{name.lower()}", f"{name}: runbook_url")


def tested(report: Report, document: dict) -> None:
    """The tests notice each alert that never fires, that always does, and that does not wait."""
    changes = {"never fires": {"expr": "vector(0) > 1"}, "always fires": {"expr": "vector(1)"}, "does not wait": {}}
    for what, change in changes.items():
        groups = [group | {"rules": [without(rule, "for") | change for rule in group["rules"]]} for group in document["groups"]]
        noticed = failing({"groups": groups})
        for rule in (rule for group in document["groups"] for rule in group["rules"]):
            unchanged = without(rule, "for") | change == rule
            report.expect(unchanged or rule["alert"] in noticed, f"{rule['alert']}: no test fails where it {what}")


def failing(document: dict) -> set[str]:
    """The alerts whose tests fail."""
    with tempfile.TemporaryDirectory() as folder:
        tests = Path(folder) / TESTS.name
        tests.write_text(TESTS.read_text())
        (Path(folder) / ALERTS.name).write_text(yaml.safe_dump(document))
        done = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, text=True)
    return set(re.findall(r"alertname: (\w+), time:", done.stdout + done.stderr))


def without(rule: dict, key: str) -> dict:
    return {name: value for name, value in rule.items() if name != key}


def rendered(report: Report, document: Document) -> bool:
    """A PrometheusRule or a dashboard, from wherever it comes, is the source with its links."""
    base = OWN_RUNBOOKS if "own runbooks" in document.where else RUNBOOKS
    if document.body["kind"] == "PrometheusRule":
        expected = yaml.safe_load(ALERTS.read_text().replace(RUNBOOKS, base))
        report.equal(document.body["spec"], expected, f"{document.name}: the alerts")
        return True
    if document.body["kind"] == "ConfigMap" and DASHBOARD.name in document.body["data"]:
        expected = json.loads(DASHBOARD.read_text().replace(RUNBOOKS, base))
        report.equal(json.loads(document.body["data"][DASHBOARD.name]), expected, f"{document.name}: the dashboard")
        return True
    return False
