"""Every object against the schemas of the oldest and the newest Kubernetes that it is for, strictly.

The Prometheus Operator's kinds are checked with models made from its CRDs. Those let unknown fields pass, so an object
is read into the model and written out again: what is lost on the way is unknown.
"""

from __future__ import annotations

import kubernetes_validate
from cloudcoil.models.prometheus_operator import v1 as operator
from pydantic import ValidationError

from .report import Document, Report


def check(report: Report, documents: list[Document]) -> str:
    for document in documents:
        if document.body["apiVersion"] == "monitoring.coreos.com/v1":
            custom(report, document)
        else:
            builtin(report, document)
    return f"{len({document.body['kind'] for document in documents})} kinds"


def builtin(report: Report, document: Document) -> None:
    for version in document.versions:
        try:
            held = kubernetes_validate.validate(document.body, version, strict=True)
            report.equal(held, version, f"{document.name}: the schema's version")
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            report.expect(False, f"{document.name}: Kubernetes {version}: {path}: {error.message}")


def custom(report: Report, document: Document) -> None:
    try:
        read = getattr(operator, document.body["kind"]).model_validate(document.body)
    except ValidationError as error:
        report.expect(False, f"{document.name}: {error}")
        return
    written = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    report.equal(written, document.body, f"{document.name}: fields that the Operator does not know")
