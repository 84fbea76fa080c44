"""The chart's values: README, values.yaml and values.schema.json name the same ones.

    values.yaml and its comments ─▶ the table of README.md, which scripts/check-deploy write puts there
    values.schema.json             each value of the file and no other

A comment belongs to the key below it. Every value has one, since it is the only description that the table has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import yaml

from .report import DEPLOY, ROOT, Report

CHART = DEPLOY / "helm" / "amp-sidecar"
VALUES, SCHEMA, README = CHART / "values.yaml", CHART / "values.schema.json", CHART / "README.md"
BEGIN, END = "<!-- values: written by scripts/check-deploy write -->\n", "<!-- end of values -->\n"
# Helm hands it to every chart, whether it uses it or not.
OF_HELM = {"global"}


def readme() -> str:
    """README.md with the table as it should be."""
    head, _, rest = README.read_text().partition(BEGIN)
    cells = [(f"`{name}`", default and f"`{default}`", description) for name, default, description in rows()]
    table = "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |\n" for row in cells)
    return f"{head}{BEGIN}| value | default | |\n|---|---|---|\n{table}{END}{rest.partition(END)[2]}"


def check(report: Report) -> str:
    report.expect(README.read_text() == readme(), f"{README.relative_to(ROOT)}: not what scripts/check-deploy write writes")
    found = list(rows())
    for name, default, description in found:
        report.expect(bool(description) or not default, f"{VALUES.relative_to(ROOT)}: {name} has no comment above it")
    schema = json.loads(SCHEMA.read_text())
    same_keys(report, yaml.safe_load(VALUES.read_text()), schema, "")
    templates = "".join(file.read_text() for file in (CHART / "templates").rglob("*") if file.is_file())
    defined = set(re.findall(r'{{- define "(.+?)"', templates))
    for file in (VALUES, CHART / "templates" / "NOTES.txt", README, ROOT / "docs" / "kubernetes.md"):
        named = set(re.findall(r"\bamp-sidecar\.(?:container|preStop|volumes|[a-z]+[A-Z]\w*)\b", file.read_text()))
        report.equal(named - defined, set(), f"{file.relative_to(ROOT)}: templates that the chart does not define")
    metadata(report)
    return f"{len(found)} values"


def metadata(report: Report) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    for key in ("home", "sources", "maintainers", "kubeVersion", "keywords", "annotations"):
        report.expect(bool(chart.get(key)), f"Chart.yaml: {key} is missing")
    (image,) = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    values = yaml.safe_load(VALUES.read_text())
    report.equal(image["image"], f"{values['image']['repository']}:{chart['appVersion']}", "Chart.yaml: artifacthub.io/images")
    report.expect(bool(yaml.safe_load(chart["annotations"]["artifacthub.io/links"])), "Chart.yaml: artifacthub.io/links")


def same_keys(report: Report, values: dict, schema: dict, path: str) -> None:
    """A value that the schema lacks is rejected, one that only the schema has is not documented."""
    known = schema.get("properties", {})
    if not known or not values:
        return
    expected = set(known) - (set() if path else OF_HELM)
    # Of two alternatives the file has one.
    optional = {"minAvailable"} if path.endswith(".disruptionBudget") else set()
    report.equal(set(values) | optional, expected, f"values.schema.json and values.yaml: the keys of {path or 'the whole'}")
    report.equal(schema.get("additionalProperties"), False, f"values.schema.json: additionalProperties of {path or 'the whole'}")
    for key, value in values.items():
        if isinstance(value, dict):
            same_keys(report, value, known.get(key, {}), f"{path}.{key}")


def rows() -> Iterator[tuple[str, str, str]]:
    """Name, default as JSON, and description; a group with a comment has a row without a default."""
    lines = VALUES.read_text().splitlines()
    yield from group(yaml.compose(VALUES.read_text()), json.loads(SCHEMA.read_text()), lines, "")


def group(node: yaml.MappingNode, schema: dict, lines: list[str], path: str) -> Iterator[tuple[str, str, str]]:
    for key, value in node.value:
        name, known = f"{path}{key.value}", schema.get("properties", {}).get(key.value, {})
        description = above(lines, key.start_mark)
        if "properties" in known and value.value:
            if description:
                yield name, "", description
            yield from group(value, known, lines, f"{name}.")
        else:
            default = json.dumps(yaml.safe_load(yaml.serialize(value)), ensure_ascii=False, separators=(",", ":"))
            yield name, default, description


def above(lines: list[str], key: yaml.Mark) -> str:
    """The comment lines right above the key, in its column."""
    start = key.line
    while start and re.match(rf" {{{key.column}}}#( |$)", lines[start - 1]):
        start -= 1
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[start : key.line])
