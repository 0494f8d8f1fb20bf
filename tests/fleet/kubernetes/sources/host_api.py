"""A host cluster's API on loopback: three collections that can be listed and watched, in the real one's bytes."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.fleet.kubernetes.servers import open_http_server

CLUSTERS = "/apis/core.kubefed.io/v1beta1/namespaces/kube-federation-system/kubefedclusters"
SECRETS = "/api/v1/namespaces/kube-federation-system/secrets"
PLATFORM = "/apis/openmcp.k8s.io/v1alpha1/namespaces/openmcp/openmcpclusters"
KINDS = {CLUSTERS: "KubeFedCluster", SECRETS: "Secret", PLATFORM: "OpenMCPCluster"}


class HostApi:
    """Objects by path and name, and faults: a status in the place of an answer, watches that end or expire."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {path: {} for path in KINDS}
        self.refused: dict[str, int] = {}
        self.lists = 0
        self.watches = 0
        self.expired = False
        self._version = 100
        self._log: list[tuple[int, str, str, dict[str, Any]]] = []
        self._changed = asyncio.Condition()

    async def put(self, path: str, name: str, **fields: Any) -> None:
        """Creates or replaces an object."""
        item = {"kind": KINDS[path], "metadata": {"name": name}, **fields}
        await self._note(path, "MODIFIED" if name in self.objects[path] else "ADDED", item)
        self.objects[path][name] = item

    async def delete(self, path: str, name: str) -> None:
        """Deletes an object."""
        await self._note(path, "DELETED", self.objects[path].pop(name))

    async def join(self, name: str, **spec: Any) -> None:
        """A member's KubeFedCluster and Secret."""
        await self.put(SECRETS, name, data={"token": base64.b64encode(b"abc").decode()})
        await self.put(
            CLUSTERS, name, spec={"apiEndpoint": "127.0.0.1:1", "secretRef": {"name": name}, **spec}, status={}
        )

    async def expire(self) -> None:
        """Ends all watches with a 410, as a compaction does."""
        async with self._changed:
            self.expired = True
            self._changed.notify_all()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request."""
        path = request.path
        if path in self.refused or path not in KINDS:
            code = self.refused.get(path, 404)
            return web.json_response({"kind": "Status", "code": code, "message": "no"}, status=code)
        if request.query.get("watch") == "true":
            return await self._watch(request, path)
        self.lists += 1
        self.expired = False
        metadata = {"resourceVersion": str(self._version)}
        items = list(self.objects[path].values())
        return web.json_response({"kind": f"{KINDS[path]}List", "metadata": metadata, "items": items})

    async def _watch(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        seen = int(request.query["resourceVersion"])
        self.watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            async with self._changed:
                while not self.expired and all(version <= seen for version, *_ in self._log):
                    await self._changed.wait()
                news = [entry for entry in self._log if entry[0] > seen]
            if self.expired:
                await response.write(b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n')
                return response
            for version, where, kind, item in news:
                seen = version
                if where == path:
                    await response.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")

    async def _note(self, path: str, kind: str, item: dict[str, Any]) -> None:
        async with self._changed:
            self._version += 1
            item["metadata"]["resourceVersion"] = str(self._version)
            self._log.append((self._version, path, kind, json.loads(json.dumps(item))))
            self._changed.notify_all()


@asynccontextmanager
async def open_host_api() -> AsyncIterator[tuple[HostApi, str]]:
    """An empty host; yields it and its URL."""
    api = HostApi()
    async with open_http_server(api.serve) as url:
        yield api, url
