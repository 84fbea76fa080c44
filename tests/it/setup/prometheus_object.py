"""Reads files that each hold objects of the Prometheus Operator, or values of kube-prometheus-stack.

Every field must be one that the Operator's own schema knows. What a file says of the pod is written beside it as a pod of
its own, FILE.pod, for a validator of Kubernetes' objects.
"""

import sys

import yaml
from cloudcoil.models.prometheus_operator import v1


def unknown(given, known, path):
    if isinstance(given, dict):
        for name, value in given.items():
            if not isinstance(known, dict) or name not in known:
                yield f"{path}.{name}"
            else:
                yield from unknown(value, known[name], f"{path}.{name}")
    elif isinstance(given, list):
        for at, value in enumerate(given):
            yield from unknown(value, known[at], f"{path}[{at}]")


def check(source):
    documents = list(yaml.safe_load_all(open(source)))
    if "kind" in documents[0]:
        (spec,) = [one["spec"] for one in documents if one["kind"] == "Prometheus"]
    else:
        # The chart hands these on as they are, and appends the last to the user's own.
        spec = documents[0]["prometheus"]["prometheusSpec"]
        spec["remoteWrite"] = spec.pop("additionalRemoteWrite")
    model = v1.Prometheus.model_validate({"metadata": {"name": "p"}, "spec": spec})
    known = model.model_dump(by_alias=True, exclude_none=True, mode="json")
    lost = list(unknown(spec, known["spec"], "spec"))
    if lost:
        sys.exit(f"{source}: the Operator does not know {lost}")
    # The Operator adds them to its own by name.
    hook, *others = spec["containers"]
    containers = [{"image": "prom/prometheus", **hook}, *others]
    pod_spec = {"initContainers": spec.get("initContainers", []), "volumes": spec["volumes"], "containers": containers}
    with open(f"{source}.pod", "w") as file:
        yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod_spec}, file)


for source in sys.argv[1:]:
    check(source)
