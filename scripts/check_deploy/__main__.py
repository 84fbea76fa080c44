"""Runs every check; the exit code is 0 only if all hold and no file of deploy/ was left out."""

import sys
import time

from . import aws, chart, debian, ecs, helm, kustomize, mixin, pods, prometheus, schemas, sources, values
from .report import DEPLOY, Report


def main() -> int:
    report = Report()
    documents = []
    started = time.monotonic()

    def told(what: str) -> None:
        nonlocal started
        print(f"{what} ({time.monotonic() - started:.1f} s)")
        started = time.monotonic()

    for source in (kustomize, values, helm, mixin):
        rendered = source.documents(report)
        documents += rendered
        told(f"{source.__name__.split('.')[-1]}: {len(rendered)} objects")
    for check in (schemas, pods, prometheus, mixin):
        told(f"{check.__name__.split('.')[-1]}: {check.check(report, documents)}")
    for check in (chart, aws, ecs, debian, sources):
        told(f"{check.__name__.split('.')[-1]}: {check.check(report)}")
    report.cover(DEPLOY / "README.md")
    report.uncovered()
    print(f"deploy: {report.checks} checks on {len(report.covered)} files: {len(report.faults)} faults")
    return 1 if report.faults else 0


sys.exit(main())
