"""What an adapter answers for `custom.metrics.k8s.io`: one figure, the same of each pod, and what was asked."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from realfleet.cluster import Cluster

GROUP, VERSION = "custom.metrics.k8s.io", "v1beta2"


class CustomMetrics:
    """`value` is what each pod has, in the form of a quantity. Made by `open_custom_metrics`."""

    def __init__(self, cluster: Cluster, namespace: str, figure: str, value: str) -> None:
        self.cluster, self.path, self.value = cluster, f"/namespaces/{namespace}/pods/*/{figure}", value
        self.asked: set[str] = set()
        self._namespace, self._figure = namespace, figure

    def answer(self, target: str) -> dict[str, Any] | None:
        """What is at a path below the group's version; None: nothing."""
        url = urlsplit(target.removeprefix(f"/apis/{GROUP}/{VERSION}"))
        if not url.path:
            named = {"name": f"pods/{self._figure}", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]}
            resources = [named | {"singularName": ""}]
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}"} | {
                "resources": resources
            }
        if unquote(url.path) != self.path:
            return None
        (selector,) = parse_qs(url.query)["labelSelector"]
        self.asked.add(selector)
        pods = self.cluster.client.get(f"/api/v1/namespaces/{self._namespace}/pods?labelSelector={selector}")["items"]
        items = [self._value_of(pod["metadata"]["name"]) for pod in pods]
        return {"kind": "MetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}

    def _value_of(self, pod: str) -> dict[str, Any]:
        described = {"kind": "Pod", "namespace": self._namespace, "name": pod, "apiVersion": "/v1"}
        now = "2026-01-01T00:00:00Z"
        return {"describedObject": described, "metric": {"name": self._figure}, "timestamp": now, "value": self.value}


@contextmanager
def open_custom_metrics(cluster: Cluster, namespace: str, figure: str, value: str) -> Iterator[CustomMetrics]:
    """Answers behind the cluster's API server."""
    metrics = CustomMetrics(cluster, namespace, figure, value)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = metrics.answer(self.path)
            body = json.dumps(found or {"kind": "Status", "apiVersion": "v1", "code": 404}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.api.files.serving_certificate, cluster.api.files.serving_key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    services = "/api/v1/namespaces/kube-system/services"
    registrations = "/apis/apiregistration.k8s.io/v1/apiservices"
    try:
        port = server.server_address[1]
        where = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
        named = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "custom-metrics"}, "spec": where}
        cluster.client.create(services, named)
        spec = {
            "service": {"name": "custom-metrics", "namespace": "kube-system", "port": port},
            "group": GROUP,
            "version": VERSION,
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        }
        registration = {"metadata": {"name": f"{VERSION}.{GROUP}"}, "spec": spec}
        head = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}
        cluster.client.create(registrations, head | registration)
        yield metrics
    finally:
        cluster.client.delete(f"{registrations}/{VERSION}.{GROUP}")
        cluster.client.delete(f"{services}/custom-metrics")
        server.shutdown()
        thread.join()
        server.server_close()
