"""An API server of a few documents, for what a chart asks of a cluster: its version, and which service accounts exist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def cluster(minor: int, accounts: dict[str, dict[str, str]], namespace: str) -> Iterator[str]:
    """The kubeconfig of a Kubernetes 1.`minor` with these service accounts, each with its annotations."""
    account = {"name": "serviceaccounts", "namespaced": True, "kind": "ServiceAccount", "verbs": ["get"]}
    documents = {
        "/version": {"major": "1", "minor": str(minor), "gitVersion": f"v1.{minor}.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [account]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    }
    for name, annotations in accounts.items():
        metadata = {"name": name, "namespace": namespace, "annotations": annotations}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
        documents[path] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(documents))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kubeconfig(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def handler(documents: dict[str, dict]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = documents.get(self.path.partition("?")[0])
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def kubeconfig(server: str) -> str:
    named = {"name": "local"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [named | {"cluster": {"server": server}}],
        "users": [named | {"user": {}}],
        "contexts": [named | {"context": {"cluster": "local", "user": "local"}}],
    }
    return json.dumps(config)
