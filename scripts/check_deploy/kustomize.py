"""Every kustomization, rendered by kubectl.

A component says nothing by itself: it counts as covered where an overlay takes it, and so does every file that a
kustomization names.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from .report import DEPLOY, ROOT, Document, Report

FOLDER = DEPLOY / "kustomize"
# Native sidecars are on by default from 1.29 on.
VERSIONS = {"overlays/plain": ("1.25", "1.37")}


def documents(report: Report) -> list[Document]:
    found = []
    for file in sorted(FOLDER.rglob("kustomization.yaml")):
        folder = file.parent
        if yaml.safe_load(file.read_text())["kind"] == "Component":
            continue
        cover(report, folder)
        text = report.run("kubectl", "kustomize", folder, what=str(folder.relative_to(ROOT)))
        versions = VERSIONS.get(str(folder.relative_to(FOLDER)), ("1.29", "1.37"))
        found += [Document(str(folder.relative_to(ROOT)), body, versions) for body in yaml.safe_load_all(text)]
    return found


def cover(report: Report, folder: Path) -> None:
    """The kustomization and all that it names, other kustomizations included."""
    file = folder / "kustomization.yaml"
    report.cover(file)
    content = yaml.safe_load(file.read_text())
    for name in content.get("resources", []) + content.get("components", []):
        path = folder / name
        cover(report, path) if path.is_dir() else report.cover(path)
    for patch in content.get("patches", []):
        report.cover(folder / patch["path"])
    for generator in content.get("configMapGenerator", []):
        report.cover(*(folder / name for name in generator.get("files", [])))
