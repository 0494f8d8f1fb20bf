"""Asks members what many users may see, and says what that cost this process.

`python -m bench.children.grants USERS MEMBERS NAMESPACES` writes one line of JSON as `Cost` has it. With NAMESPACES the
users read pods in two of so many in each member, else in all of it.
"""

import asyncio
import gc
import sys
import time

import msgspec
import uvloop
from msgspec import Struct

from bench.children.load_cache import read_rss
from bench.memory_fleet import MemoryConnection, MemorySource
from fleet.members.member import FleetOptions
from fleet.model.rights import Granted, Subject
from fleet.model.visibility import Role, Scope
from fleet.ports import Answer, Call, MemberSpec
from fleet.registry import open_federation

_AT_ONCE = 50
_AGAIN = 2_000

# About as long as what the ClusterRole `view` comes to.
_VIEW = [
    {"verbs": ["get", "list", "watch"], "apiGroups": [group], "resources": resources}
    for group, resources in (
        ("", ["pods", "pods/log", "pods/status", "events", "namespaces", "services", "endpoints", "configmaps"]),
        ("", ["persistentvolumeclaims", "replicationcontrollers", "resourcequotas", "serviceaccounts", "limitranges"]),
        ("apps", ["deployments", "daemonsets", "statefulsets", "replicasets", "controllerrevisions"]),
        ("batch", ["jobs", "cronjobs"]),
        ("autoscaling", ["horizontalpodautoscalers"]),
        ("networking.k8s.io", ["ingresses", "networkpolicies"]),
        ("policy", ["poddisruptionbudgets"]),
        ("discovery.k8s.io", ["endpointslices"]),
    )
]


class Cost(Struct, frozen=True):
    """Processor time of asking about all users in seconds, and of a known user's request; memory of each in bytes."""

    seconds: float
    again_seconds: float
    user_bytes: float
    reviews: int


class _Member(MemoryConnection):
    def __init__(self, number: int, namespaces: int) -> None:
        super().__init__(number, 0, 0)
        self.reviews = 0
        items = [{"metadata": {"name": f"ns-{each}"}, "status": {"phase": "Active"}} for each in range(namespaces)]
        self._namespaces = msgspec.json.encode(
            {"kind": "NamespaceList", "metadata": {"resourceVersion": "9"}, "items": items}
        )
        self._limited = bool(namespaces)

    async def request(self, call: Call) -> Answer:
        if call.path.endswith("selfsubjectrulesreviews"):
            assert isinstance(call.body, bytes)
            self.reviews += 1
            namespace = msgspec.json.decode(call.body)["spec"]["namespace"]
            rules = _VIEW if not self._limited or namespace in ("ns-1", "ns-2") else []
            return Answer(201, {}, msgspec.json.encode({"status": {"resourceRules": rules, "incomplete": False}}))
        if call.path == "/api/v1/namespaces":
            return Answer(200, {}, self._namespaces)
        return await super().request(call)


class _Source(MemorySource):
    def __init__(self, members: int, namespaces: int) -> None:
        super().__init__(members, 0)
        self.opened: list[_Member] = []
        self._count = namespaces

    async def open_connection(self, spec: MemberSpec) -> _Member:
        assert spec.credential is not None
        self.opened.append(_Member(int(spec.credential.fingerprint), self._count))
        return self.opened[-1]


async def measure(users: int, members: int, namespaces: int) -> Cost:
    source = _Source(members, namespaces)
    async with open_federation(source, FleetOptions(grants_max_age=300.0)) as federation:
        await federation.wait_synced(60.0)
        scopes = [Scope(Role.ADMIN, granted=Granted(Subject(f"user-{each}", ("team",)))) for each in range(users)]
        await federation.grant(Scope(Role.ADMIN, granted=Granted(Subject("first"))))  # imports the client library
        gc.collect()
        rss, began, left = read_rss(), time.process_time(), iter(scopes)

        async def ask() -> None:
            for scope in left:
                granted = await federation.grant(scope)
                assert granted.sees_namespace("cluster001", "ns-1", "pods")

        await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
        seconds = time.process_time() - began
        gc.collect()
        grown = read_rss() - rss
        began = time.process_time()
        for _ in range(_AGAIN):
            await federation.grant(scopes[-1])
        again = (time.process_time() - began) / _AGAIN
        return Cost(seconds, again, grown / users, sum(member.reviews for member in source.opened))


if __name__ == "__main__":
    cost = uvloop.run(measure(*map(int, sys.argv[1:4])))
    sys.stdout.buffer.write(msgspec.json.encode(cost))
