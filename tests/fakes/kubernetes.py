"""An API server in this process, behind the `Connection` port: lists in pages and watches, in the real one's bytes."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from msgspec.structs import replace

from fleet.model.errors import ClusterTimeout, ClusterUnreachable
from fleet.model.objects import ClusterRole
from fleet.ports import Answer, Call, Connection, Credential, Headers, MemberSpec, Upgraded

Object = dict[str, Any]
WORKLOADS = {
    "/apis/apps/v1/deployments": "Deployment",
    "/apis/apps/v1/statefulsets": "StatefulSet",
    "/apis/apps/v1/daemonsets": "DaemonSet",
    "/apis/batch/v1/jobs": "Job",
    "/apis/batch/v1/cronjobs": "CronJob",
}
KINDS = {
    "/api/v1/pods": "Pod",
    "/api/v1/nodes": "Node",
    "/api/v1/namespaces": "Namespace",
    "/api/v1/events": "Event",
    "/apis/apps/v1/replicasets": "ReplicaSet",
    **WORKLOADS,
}
SERVED = {"pods": "Pod", "events": "Event", "secrets": "Secret", "replicasets": "ReplicaSet"}
"""Kinds by their plural in the path of one object, or of the list of a namespace."""

_PATH = re.compile(r"/(?:api|apis/[^/]+)/v1(?:/namespaces/([^/]+))?/([^/]+)(?:/([^/]+))?")


def build_pod(namespace: str, name: str, *, node: str | None = "n1", **labels: str) -> Object:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{namespace}-{name}",
            "creationTimestamp": "2024-05-01T10:00:00Z",
            "labels": labels,
        },
        "spec": {
            "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m", "memory": "1Mi"}}}]
        }
        | ({} if node is None else {"nodeName": node}),
        "status": {"phase": "Running" if node else "Pending"},
    }


def own(item: Object, kind: str, name: str, *, api_version: str = "apps/v1", uid: str | None = None) -> Object:
    """The object, controlled by another one; a ReplicaSet's pods have the hash of its template as a label."""
    owner = {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid or f"uid-{kind}-{name}",
        "controller": True,
    }
    metadata = item["metadata"] | {"ownerReferences": [owner]}
    if kind == "ReplicaSet":
        metadata["labels"] = metadata["labels"] | {"pod-template-hash": name.rpartition("-")[2]}
    return item | {"metadata": metadata}


def build_workload(
    kind: str, namespace: str, name: str, spec: Object | None = None, status: Object | None = None
) -> Object:
    """A controller's object; its pods have its name as their label `app`."""
    metadata: Object = {"namespace": namespace, "name": name, "uid": f"uid-{kind}-{name}", "labels": {"app": name}}
    metadata |= {"creationTimestamp": "2024-05-01T10:00:00Z", "generation": 1}
    template = {"spec": {"containers": [{"name": "c", "image": f"{name}:1"}]}}
    wanted = {"selector": {"matchLabels": {"app": name}}, "template": template} | (spec or {})
    api_version = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    return {"kind": kind, "apiVersion": api_version, "metadata": metadata, "spec": wanted, "status": status or {}}


def build_plain(kind: str, name: str) -> Object:
    metadata = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2024-05-01T10:00:00Z"}
    return {"kind": kind, "apiVersion": "v1", "metadata": metadata, "spec": {}, "status": {"phase": "Active"}}


class FakeCluster:
    """Objects with one version counter, the log that watches read, and faults: hang, refuse, expire, cut, garbage."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.objects: dict[str, dict[tuple[str, str], Object]] = {
            kind: {} for kind in (*KINDS.values(), *SERVED.values())
        }
        self.version = 100
        self.oldest = 100
        self.log: list[tuple[int, str, Object]] = []
        self.calls: list[tuple[str, str]] = []
        self.statuses: dict[str, tuple[int, bytes]] = {}
        self.answering = asyncio.Event()
        self.answering.set()
        self.closing = asyncio.Event()
        self.closing.set()
        self.refusing = False
        self.garbage: bytes | None = None
        self.expire_after_page = False
        self.opened = 0
        self.closed = 0
        self._wakes: set[asyncio.Event] = set()
        self._cut = 0
        self._lost = 0
        self._tokens: dict[str, tuple[int, list[Object]]] = {}

    def put(self, item: Object) -> None:
        key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        kind = item["kind"]
        kept = json.loads(json.dumps(item))
        self._log("MODIFIED" if key in self.objects[kind] else "ADDED", kept)
        self.objects[kind][key] = kept

    def delete(self, kind: str, namespace: str, name: str) -> None:
        self._log("DELETED", json.loads(json.dumps(self.objects[kind].pop((namespace, name)))))

    def bookmark(self) -> None:
        for kind in KINDS.values():
            self._log("BOOKMARK", {"kind": kind, "apiVersion": "v1", "metadata": {}})

    def cut_watches(self) -> None:
        self._cut += 1
        self._wake()

    def expire(self) -> None:
        """Forgets all history and all continue tokens, as a compaction does."""
        self.version += 1
        self.oldest = self.version
        self.log = []
        self._tokens.clear()

    def expire_watches(self) -> None:
        """Tells every open watch that it fell too far behind."""
        self.expire()
        self._lost += 1
        self._wake()

    def count(self, path: str, *, watch: bool = False) -> int:
        return sum(1 for called, query in self.calls if called == path and ("watch=true" in query) is watch)

    def list_page(self, kind: str, limit: int | None, token: str | None) -> tuple[int, bytes]:
        if token is None:
            version, items = self.version, [*self.objects[kind].values()]
        elif token in self._tokens:
            version, items = self._tokens[token]
        else:
            return 410, status_body(410, "The provided continue parameter is too old")
        page, rest = (items, []) if limit is None else (items[:limit], items[limit:])
        metadata: Object = {"resourceVersion": str(version)}
        if rest:
            metadata["continue"] = f"token-{kind}-{version}-{len(rest)}"  # the same for the same place, as the real one
            self._tokens[metadata["continue"]] = (version, rest)
            if self.expire_after_page:
                self.expire()
        return 200, json.dumps(
            {"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": page}
        ).encode()

    def read(self, path: str) -> tuple[int, bytes]:
        """One object, or a whole list. Selectors are not looked at."""
        found = _PATH.fullmatch(path)
        kind = SERVED.get(found[2]) if found is not None else None
        if found is None or kind is None:
            return 404, status_body(404, "the server could not find the requested resource")
        if found[3] is not None:
            item = self.objects[kind].get((found[1] or "", found[3]))
            return (404, status_body(404, f"no {found[3]}")) if item is None else (200, json.dumps(item).encode())
        items = [item for (namespace, _), item in self.objects[kind].items() if found[1] in (None, namespace)]
        return 200, json.dumps({"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": items}).encode()

    async def watch(self, kind: str, version: int) -> AsyncIterator[bytes]:
        wake = asyncio.Event()
        self._wakes.add(wake)
        cut, lost, seen = self._cut, self._lost, version
        try:
            while True:
                await self.answering.wait()
                if cut != self._cut:
                    raise ClusterUnreachable(self.name, "the watch was cut off")
                if self.garbage is not None:
                    yield self.garbage
                if lost != self._lost:
                    yield self._line("ERROR", json.loads(status_body(410, "too old resource version")))
                    return
                for number, what, item in self.log:
                    if number > seen and item["kind"] == kind:
                        line = self._line(what, item)
                        yield line[: len(line) // 2]
                        yield line[len(line) // 2 :]
                    seen = max(seen, number)
                wake.clear()
                await wake.wait()
        finally:
            self._wakes.discard(wake)

    def _line(self, what: str, item: Object) -> bytes:
        return json.dumps({"type": what, "object": item}).encode() + b"\n"

    def _log(self, what: str, item: Object) -> None:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        self.log.append((self.version, what, item))
        self._wake()

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()


class FakeStream:
    def __init__(self, status: int, source: AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers: Headers = []
        self.is_whole = False
        self._source = source

    async def read(self) -> bytes:
        return await anext(self._source, b"")

    def chunks(self) -> AsyncIterator[bytes]:
        return self._source


class FakeConnection:
    """A pool to a fake cluster."""

    def __init__(self, target: FakeCluster) -> None:
        self.cluster = target.name
        self._target = target
        target.opened += 1

    async def request(self, call: Call) -> Answer:
        await self._reach(call)
        if call.path in self._target.statuses:
            status, text = self._target.statuses[call.path]
            return Answer(status, {}, text)
        if call.path == "/readyz":
            return Answer(200, {}, b"ok")
        if call.path == "/version":
            return Answer(200, {}, b'{"gitVersion": "v1.36.3"}')
        if call.path not in KINDS:
            status, text = self._target.read(call.path)
            return Answer(status, {"content-type": "application/json"}, text)
        wanted = parse_qs(call.query)
        limit = int(wanted["limit"][0]) if "limit" in wanted else None
        status, text = self._target.list_page(KINDS[call.path], limit, wanted.get("continue", [None])[0])
        return Answer(status, {"content-type": "application/json"}, text)

    @contextlib.asynccontextmanager
    async def open_stream(self, call: Call) -> AsyncIterator[FakeStream]:
        await self._reach(call)
        version = int(parse_qs(call.query)["resourceVersion"][0])
        if call.path in self._target.statuses:
            status, text = self._target.statuses[call.path]
            source = _once(text)
        elif version < self._target.oldest:
            status, source = 410, _once(status_body(410, "too old resource version"))
        else:
            status, source = 200, self._target.watch(KINDS[call.path], version)
        try:
            yield FakeStream(status, source)
        finally:
            await source.aclose()  # type: ignore[attr-defined]  # both sources are generators

    def open_upgrade(self, call: Call) -> contextlib.AbstractAsyncContextManager[Upgraded]:
        raise NotImplementedError

    async def close(self) -> None:
        self._target.closed += 1
        await self._target.closing.wait()

    async def _reach(self, call: Call) -> None:
        self._target.calls.append((call.path, call.query))
        await asyncio.sleep(0)
        if self._target.refusing:
            raise ClusterUnreachable(self.cluster, f"{self.cluster} refused the connection")
        try:
            async with asyncio.timeout(call.timeout):
                await self._target.answering.wait()
        except TimeoutError:
            raise ClusterTimeout(self.cluster, f"{self.cluster} did not answer within {call.timeout:g} s") from None


class FakeSource:
    """A source that says what a test last told it."""

    def __init__(self, *clusters: FakeCluster) -> None:
        self.clusters = {cluster.name: cluster for cluster in clusters}
        self._specs = {cluster.name: build_spec(cluster.name) for cluster in clusters}
        self._queues: list[asyncio.Queue[Mapping[str, MemberSpec]]] = []

    def say(self, *specs: MemberSpec) -> None:
        self._specs = {spec.name: spec for spec in specs}
        for queue in self._queues:
            queue.put_nowait(self._specs)

    def label(self, cluster: str, **labels: str) -> None:
        """The cluster has these labels from now on, and no others."""
        own = replace(self._specs[cluster], labels=tuple(sorted(labels.items())))
        self.say(*(own if spec.name == cluster else spec for spec in self._specs.values()))

    async def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        queue: asyncio.Queue[Mapping[str, MemberSpec]] = asyncio.Queue()
        self._queues.append(queue)
        yield self._specs
        while True:
            yield await queue.get()

    async def open_connection(self, spec: MemberSpec) -> Connection:
        return FakeConnection(self.clusters[spec.name])


def build_spec(name: str, *, fingerprint: str = "1", offline: str | None = None) -> MemberSpec:
    role = ClusterRole.HOST if name == "openmcp" else ClusterRole.MEMBER
    return MemberSpec(name, role, Credential(fingerprint, f"https://{name}"), offline=offline)


def status_body(code: int, message: str) -> bytes:
    return json.dumps({"kind": "Status", "status": "Failure", "code": code, "message": message}).encode()


async def _once(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk


def serve_kinds(cluster: FakeCluster, *, aggregated: bool = True) -> None:
    """Lets a cluster say that it serves Pods, Events, Secrets and ReplicaSets, in one form of discovery or other."""
    core = {"pods": "Pod", "events": "Event", "secrets": "Secret"}
    if aggregated:
        cluster.statuses["/api"] = (200, _discovery("", {"v1": core}))
        cluster.statuses["/apis"] = (200, _discovery("apps", {"v1": {"replicasets": "ReplicaSet"}}))
        return
    groups = [{"name": "apps", "versions": [{"groupVersion": "apps/v1"}]}]
    groups.append({"name": "broken.io", "versions": [{"groupVersion": "broken.io/v1"}]})
    cluster.statuses["/api"] = (200, json.dumps({"kind": "APIVersions", "versions": ["v1"]}).encode())
    cluster.statuses["/apis"] = (200, json.dumps({"kind": "APIGroupList", "groups": groups}).encode())
    cluster.statuses["/api/v1"] = (200, _plain_discovery(core | {"pods/log": "Pod"}))
    cluster.statuses["/apis/apps/v1"] = (200, _plain_discovery({"replicasets": "ReplicaSet"}))
    cluster.statuses["/apis/broken.io/v1"] = (503, b"service unavailable")


def _discovery(group: str, versions: Mapping[str, Mapping[str, str]]) -> bytes:
    entries = [
        {
            "version": version,
            "resources": [
                {
                    "resource": plural,
                    "scope": "Namespaced",
                    "responseKind": {"kind": kind},
                    "verbs": ["get", "list", "watch"],
                }
                for plural, kind in kinds.items()
            ],
        }
        for version, kinds in versions.items()
    ]
    items = [{"metadata": {"name": group} if group else {}, "versions": entries}]
    return json.dumps({"kind": "APIGroupDiscoveryList", "items": items}).encode()


def _plain_discovery(kinds: Mapping[str, str]) -> bytes:
    resources = [
        {"name": plural, "kind": kind, "namespaced": True, "verbs": ["get", "list", "watch"]}
        for plural, kind in kinds.items()
    ]
    return json.dumps({"kind": "APIResourceList", "resources": resources}).encode()
