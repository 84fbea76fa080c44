"""Prometheus' configuration and rules, by promtool; and that it writes to the sidecar beside it as the program's `setup` says."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import yaml

from .report import ROOT, Document, Report

BESIDE = "http://127.0.0.1:8005/api/v1/remote_write"


def check(report: Report, documents: list[Document]) -> str:
    found = 0
    printed = yaml.safe_load(report.run(os.environ["AMP_SIDECAR"], "setup", "prometheus", what="remote_write"))
    (ours,) = printed["remote_write"]
    page(report, ours)
    for document in documents:
        body = document.body
        if body["kind"] == "Prometheus":
            report.equal(body["spec"]["remoteWrite"], [camel_case(ours)], f"{document.name}: remoteWrite")
        elif body["kind"] == "ConfigMap" and "prometheus.yml" in body["data"]:
            text = body["data"]["prometheus.yml"]
            promtool(report, text, document.name)
            # The base is a Prometheus as it is before the sidecar comes.
            if not document.where.endswith("/base"):
                entries = yaml.safe_load(text).get("remote_write", [])
                urls = [entry["url"] for entry in entries]
                report.equal(urls, expected(documents, document), f"{document.name}: remote_write")
                for entry in entries:
                    whole = {**ours, **entry, "queue_config": ours["queue_config"] | entry.get("queue_config", {})}
                    report.equal(entry, whole, f"{document.name}: remote_write as `setup prometheus` prints it")
        else:
            continue
        found += 1
    return f"{found} configurations"


def page(report: Report, ours: dict) -> None:
    """What people copy from the pages is the same."""
    for name in ("README.md", "docs/kubernetes.md"):
        blocks = re.findall(r"```yaml\n((?:#.*\n)?remote_write:\n(?:.+\n)+?)```", (ROOT / name).read_text())
        entries = [yaml.safe_load(block)["remote_write"] for block in blocks]
        report.equal(entries, [[ours]], f"{name}: remote_write as `setup prometheus` prints it")


def camel_case(value: object) -> object:
    """In the Operator's spelling."""
    if not isinstance(value, dict):
        return value
    return {re.sub(r"_(\w)", lambda match: match[1].upper(), key): camel_case(inner) for key, inner in value.items()}


def expected(documents: list[Document], document: Document) -> list[str]:
    """The short path, or each workspace's own where the sidecar has a file of several."""
    beside = [other.body.get("data", {}) for other in documents if other.where == document.where]
    files = [yaml.safe_load(data["config.yaml"]) for data in beside if "config.yaml" in data]
    names = [entry.get("name", entry["workspace_id"]) for file in files for entry in file["workspaces"]]
    return [BESIDE.replace("/api/", f"/workspaces/{name}/api/") for name in names] or [BESIDE]


def promtool(report: Report, text: str, what: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prometheus.yml"
        file.write_text(text)
        report.run("promtool", "check", "config", "--syntax-only", file, what=what)
