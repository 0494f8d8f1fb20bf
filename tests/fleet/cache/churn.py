"""Pods of a real member that come, change and go without pause."""

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

from realfleet.client import KubeClient, KubeError
from realfleet.cluster import Cluster

NAMESPACE = "churn"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class Churn:
    """Makes random changes in a thread of its own; calls that fail (the server may be down) count as nothing."""

    def __init__(self, client: KubeClient, node: str) -> None:
        self.changes = 0
        self._client = client
        self._node = node
        self._random = random.Random(7)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="churn")

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(0.01):
            with contextlib.suppress(KubeError):
                self._change(f"p{self._random.randrange(30)}")
                self.changes += 1

    def _change(self, name: str) -> None:
        match self._random.randrange(4):
            case 0 | 1:
                self._client.create(_PODS, self._manifest(name))
            case 2:
                labels = {"turn": str(self._random.randrange(1000))}
                self._client.merge(f"{_PODS}/{name}", {"metadata": {"labels": labels}})
            case _:
                self._client.delete(f"{_PODS}/{name}?gracePeriodSeconds=0")

    def _manifest(self, name: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "churn"}},
            "spec": {"nodeName": self._node, "containers": [{"name": "c", "image": "none"}]},
        }


@contextlib.contextmanager
def open_churn(member: Cluster) -> Iterator[Churn]:
    """Churns in a namespace of its own until the `with` is left; then the member is as it was."""
    client = member.client
    client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    try:
        account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
        member.servers.wait_until(lambda: client.read("GET", account)[0] == 200, "the namespace takes pods", 30.0)
        churn = Churn(client, client.get("/api/v1/nodes")["items"][0]["metadata"]["name"])
        churn.start()
        try:
            yield churn
        finally:
            churn.end()
    finally:
        client.delete(f"/api/v1/namespaces/{NAMESPACE}")
        gone = f"/api/v1/namespaces/{NAMESPACE}"
        member.servers.wait_until(lambda: client.read("GET", gone)[0] == 404, "the namespace is gone", 60.0)
