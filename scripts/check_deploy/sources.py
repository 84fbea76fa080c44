"""Names and numbers that stand in several places, and the linters of the Dockerfile and the scripts."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .report import DEPLOY, ROOT, Report


def check(report: Report) -> str:
    settings(report)
    report.run(ROOT / "scripts" / "release", "versions", what="versions")
    toolchain(report)
    schema(report)
    report.run("hadolint", "Dockerfile", what="Dockerfile")
    scripts = [file for file in sorted((ROOT / "scripts").iterdir()) if is_script(file)] + [ROOT / ".ci" / "run"]
    report.run("shellcheck", *scripts, what="scripts")
    return f"names, versions, Dockerfile, {len(scripts)} scripts"


def texts() -> list[Path]:
    files = [*DEPLOY.rglob("*"), ROOT / "Dockerfile", ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return [file for file in sorted(files) if file.is_file()]


def settings(report: Report) -> None:
    """A variable that does not exist would be ignored without a word."""
    names = defined()
    report.expect(len(names) > 10, f"the table of settings was not understood: {names}")
    for file in texts():
        # Printed by the program, whose test compares it; it also names variables that are read beside a setting.
        if file.name == "config.schema.json":
            continue
        # Elsewhere AWS' variables may be meant for AWS' own programs.
        ours = "AMP_SIDECAR|AWS" if DEPLOY in file.parents else "AMP_SIDECAR"
        for name in sorted(set(re.findall(rf"\b(?:{ours})_[A-Z_]*[A-Z]\b", file.read_text()))):
            report.expect(name in names, f"{file.relative_to(ROOT)}: there is no setting {name}")


def defined() -> set[str]:
    text = (ROOT / "src" / "config" / "settings.rs").read_text()
    return set(re.findall(r'"((?:AMP_SIDECAR|AWS)_[A-Z_]+)"', text))


def toolchain(report: Report) -> None:
    pinned = re.search(r'^channel = "(.+)"', (ROOT / "rust-toolchain.toml").read_text(), re.MULTILINE)
    for name in ("Dockerfile", ".github/workflows/ci.yml", ".github/workflows/release.yml"):
        image = re.search(r"\bdocker\.io/library/rust:([0-9.]+)-", (ROOT / name).read_text())
        report.equal(image and image[1], pinned and pinned[1], f"{name}: the toolchain of rust-toolchain.toml")


def schema(report: Report) -> None:
    """The schema of the file of --config is the program's own."""
    file = DEPLOY / "config.schema.json"
    report.cover(file)
    printed = report.run(os.environ["AMP_SIDECAR"], "config", "--schema", what="the schema of --config")
    report.expect(printed == file.read_text(), "deploy/config.schema.json: amp-sidecar config --schema prints another")


def is_script(file: Path) -> bool:
    return file.is_file() and file.read_bytes().startswith(b"#!/usr/bin/env bash")
