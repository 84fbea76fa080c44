"""What the sidecar needs of its pod, in every form that it is rendered in.

The rules are few: Prometheus must stay in its Service whatever AWS does, both must have the time to leave, the token must be
the right one and arrive when it is renewed. The last word is the program's, which is
asked what it would run with in the pod's environment.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from . import mounts
from .report import Document, Report

NAME = "amp-sidecar"
# A value that the manifest takes from a Secret: here a proxy's.
IN_SECRET = "http://user:password@proxy.example:3128"
# What the hook may take, Prometheus' flush deadline, and the sidecar's --drain-timeout.
HOOK, FLUSH, DRAIN = 60, 60, 90
# By number, since the port's name belongs to the sidecar.
LIFECYCLE = {"preStop": {"httpGet": {"path": f"/caught-up?within={HOOK}s", "port": 8006}}}
SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class Pod:
    """A pod, or what is added to one, with the sidecar in it."""

    document: Document
    spec: dict
    settings: dict[str, dict[str, str]]  # of the config maps beside it

    @property
    def native(self) -> bool:
        return any(container["name"] == NAME for container in self.spec.get("initContainers", []))

    @property
    def once(self) -> bool:
        """Whether it is the pod of `helm test`."""
        return self.document.body["kind"] == "Pod"

    @property
    def sidecar(self) -> dict:
        lists = self.spec.get("initContainers", []) + self.spec.get("containers", [])
        return next(container for container in lists if container["name"] == NAME)

    @property
    def beside(self) -> bool:
        return self.native or len(self.spec["containers"]) > 1

    @property
    def environment(self) -> dict[str, str]:
        values = {}
        for source in self.sidecar.get("envFrom", []):
            values |= self.settings[source["configMapRef"]["name"]]
        for entry in self.sidecar.get("env", []):
            source = entry.get("valueFrom", {})
            values[entry["name"]] = entry.get("value") or source.get("fieldRef", {}).get("fieldPath") or IN_SECRET
        return values


def check(report: Report, documents: list[Document]) -> str:
    found = pods(documents)
    for pod in found:
        container(report, pod)
        token(report, pod)
        opinion(report, pod)
        if pod.once:
            once(report, pod)
            continue
        probes(report, pod)
        hook(report, pod)
        grace(report, pod)
    alike(report, [pod for pod in found if pod.beside])
    return f"{len(found)} with the sidecar, {sum(pod.native for pod in found)} of them as a native one"


def pods(documents: list[Document]) -> list[Pod]:
    found = []
    for document in documents:
        spec = document.body.get("spec", {})
        if document.body["kind"] not in ("Prometheus", "Pod"):
            spec = spec.get("template", {}).get("spec", {})
        lists = spec.get("initContainers", []) + spec.get("containers", [])
        if any(container["name"] == NAME for container in lists):
            maps = [other.body for other in documents if other.where == document.where and other.body["kind"] == "ConfigMap"]
            found.append(Pod(document, spec, {body["metadata"]["name"]: body["data"] for body in maps}))
    return found


def container(report: Report, pod: Pod) -> None:
    name, sidecar = pod.document.name, pod.sidecar
    report.equal(sidecar.get("restartPolicy"), "Always" if pod.native else None, f"{name}: restartPolicy")
    report.equal(sidecar.get("securityContext"), SECURITY, f"{name}: securityContext")
    # Else the reason of exit code 64 is in the log alone.
    report.equal(sidecar.get("terminationMessagePolicy"), "FallbackToLogsOnError", f"{name}: terminationMessagePolicy")
    report.expect("memory" in sidecar["resources"]["limits"], f"{name}: the byte budget is taken from a memory limit")
    report.expect("cpu" not in sidecar["resources"]["limits"], f"{name}: a CPU limit only delays batches")
    for variable, field in (("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace")):
        report.equal(pod.environment.get(variable), field, f"{name}: {variable}")


def token(report: Report, pod: Pod) -> None:
    name = pod.document.name
    file = PurePosixPath(pod.environment["AWS_WEB_IDENTITY_TOKEN_FILE"])
    mounts = {mount["mountPath"]: mount for mount in pod.sidecar["volumeMounts"]}
    for mount in mounts.values():
        report.expect("subPath" not in mount, f"{name}: by subPath nothing that is renewed arrives: {mount}")
        report.expect(mount.get("readOnly"), f"{name}: a mount that can be written to: {mount}")
    mount = mounts.get(str(file.parent))
    volume = next((volume for volume in pod.spec["volumes"] if mount and volume["name"] == mount["name"]), {})
    sources = volume.get("projected", {}).get("sources", [])
    expected = [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "expirationSeconds": 3600, "path": file.name}}]
    report.equal(sources, expected, f"{name}: the volume of the token")


def once(report: Report, pod: Pod) -> None:
    """`check` with the settings of the installed pod, in a pod that no Service selects."""
    name, body = pod.document.name, pod.document.body
    report.equal((pod.sidecar.get("args"), pod.spec.get("restartPolicy")), (["check"], "Never"), f"{name}: what it runs")
    report.equal(body["metadata"]["annotations"].get("helm.sh/hook"), "test", f"{name}: its hook")
    report.expect(body["metadata"]["labels"]["app.kubernetes.io/name"] != NAME, f"{name}: a Service would select it")


def probes(report: Report, pod: Pod) -> None:
    name, sidecar = pod.document.name, pod.sidecar
    report.equal([port for port in sidecar["ports"] if port["containerPort"] == 8006] != [], True, f"{name}: the admin port")
    port = next(port["name"] for port in sidecar["ports"] if port["containerPort"] == 8006)
    for probe in ("startupProbe", "livenessProbe"):
        report.equal(sidecar.get(probe, {}).get("httpGet"), {"path": "/livez", "port": port}, f"{name}: {probe}")
    ready = sidecar.get("readinessProbe", {}).get("httpGet")
    report.equal(ready, None if pod.beside else {"path": "/readyz", "port": port}, f"{name}: readinessProbe")


def hook(report: Report, pod: Pod) -> None:
    """Prometheus gets SIGTERM once AMP has what it scraped; a plain sidecar, which would get its own at once, waits too."""
    for container in pod.spec["containers"]:
        expected = LIFECYCLE if pod.beside else None
        report.equal(container.get("lifecycle"), expected, f"{pod.document.name}: lifecycle of {container['name']}")
    report.equal(pod.sidecar.get("lifecycle"), None if pod.native or not pod.beside else LIFECYCLE, f"{pod.document.name}: its own hook")


def grace(report: Report, pod: Pod) -> None:
    # The Operator sets 600 s by itself.
    seconds = pod.spec.get("terminationGracePeriodSeconds", 600 if pod.document.body["kind"] == "Prometheus" else 30)
    needed = DRAIN
    if pod.beside:
        # A plain sidecar drains while Prometheus flushes.
        needed = HOOK + (FLUSH + DRAIN if pod.native else max(FLUSH, DRAIN))
    report.expect(seconds > needed, f"{pod.document.name}: {seconds} s to leave in, and {needed} s may be needed")


def opinion(report: Report, pod: Pod) -> None:
    """`amp-sidecar config` says what it would run with, or every fault."""
    name = pod.document.name
    environment = pod.environment | {"AMP_SIDECAR_MAX_INFLIGHT_BYTES": str(budget(pod))}
    with tempfile.TemporaryDirectory() as folder:
        environment = mounts.lay(Path(folder), pod.sidecar, pod.spec["volumes"], pod.settings, environment)
        done = subprocess.run([os.environ["AMP_SIDECAR"], "config"], env=environment, capture_output=True, text=True, timeout=20)
    report.expect(done.returncode == 0, f"{name}: amp-sidecar says: {done.stderr.strip()}")
    if done.returncode == 0:
        keys = ("workspace_id", "region", "role_arn", "web_identity_token_file")
        found = [[workspace[key] for key in keys] for workspace in yaml.safe_load(done.stdout)["workspaces"]]
        report.equal(found, given(pod), f"{name}: what it took")


def given(pod: Pod) -> list[list[str]]:
    """Workspace, region, role and token file of each workspace, as the manifest has them."""
    settings = pod.environment
    token = settings["AWS_WEB_IDENTITY_TOKEN_FILE"]
    entries = [
        [entry["workspace_id"], entry["region"], entry["role_arn"], token]
        for content in pod.settings.values()
        if "AMP_SIDECAR_CONFIG" in settings and "config.yaml" in content
        for entry in yaml.safe_load(content["config.yaml"])["workspaces"]
    ]
    return entries or [[settings["AMP_SIDECAR_WORKSPACE_ID"], settings["AWS_REGION"], settings["AWS_ROLE_ARN"], token]]


def budget(pod: Pod) -> int:
    """What the program takes of the container's memory limit, at most 64 MiB."""
    limit = pod.sidecar["resources"]["limits"]["memory"]
    mebibytes = re.fullmatch(r"(\d+)Mi", limit)
    return min(int(mebibytes[1]) // 4, 64) << 20 if mebibytes else 0


def alike(report: Report, pods: list[Pod]) -> None:
    """One container, written down in several places."""
    first = pods[0]
    for pod in pods[1:]:
        report.equal(plain(pod), plain(first), f"{pod.document.name}: not the container of {first.document.name}")


def plain(pod: Pod) -> dict:
    own = ("env", "envFrom", "image", "imagePullPolicy", "lifecycle", "restartPolicy", "volumeMounts")
    token = [mount for mount in pod.sidecar["volumeMounts"] if mount["name"] == "amp-token"]
    return {key: value for key, value in pod.sidecar.items() if key not in own} | {"volumeMounts": token}
