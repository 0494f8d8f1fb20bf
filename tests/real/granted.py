"""A server by the accounts of the shipped manifests, and what is asked of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from checks.member_manifests import MEMBER
from realfleet.cluster import Cluster
from realfleet.kubeconfig import build_kubeconfig
from server.rights import OFFERED, RIGHTS, Right, Where, wanted
from server.settings.environment import load_settings
from tests.fakes.waiting import PATIENCE, until
from tests.processes import RunningServer, free_port, open_server
from tests.real.accounts import Accounts, Trail, Use, uses_of

_METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}
_NAMELESS = ("create", "list", "watch", "deletecollection")

TOLD = {
    *(f"OPENMCP_{name}" for name in ("CLUSTER_SOURCE", "METRIC_STORE", "JOIN", "TOKEN_REVIEW", "AUTHORIZATION")),
    *(f"OPENMCP_{name}_NAMESPACE" for name in ("KUBEFED", "SECRETS", "PROFILE")),
}
"""Settings by which the chart decides on rights."""

Kinds = Mapping[tuple[str, str], tuple[str, bool]]
"""Version, and whether it is namespaced, of each group and resource."""


def rights_of(*needs: str, where: Where = "member") -> list[Right]:
    return [right for right in RIGHTS if right.where == where and right.needs in needs]


@dataclass
class Granted:
    """The server, its caller's session, what the accounts did, and what they are granted: in each cluster, and beside
    that in the host."""

    server: RunningServer
    session: aiohttp.ClientSession
    trails: Mapping[str, Trail]
    member: set[Use]
    host: set[Use]
    _head: dict[str, str] = field(default_factory=dict, repr=False)

    async def sign_in(self, name: str = "openmcp", password: str = "keti") -> None:  # noqa: S107 - the demo's published password
        self._head = {"Authorization": f"Bearer {await self.server.sign_in(name, password)}"}

    async def ask(self, query: str, variables: Mapping[str, object] | None = None) -> dict[str, Any]:
        body = {"query": query, "variables": variables or {}}
        async with self.session.post("/graphql", json=body, headers=self._head) as answer:
            found = await answer.json(content_type=None)
            assert "errors" not in found, found
            return dict(found["data"])

    async def hear_first(self, subscription: str, variables: Mapping[str, object]) -> None:
        """Until a first message."""
        body = {"query": subscription, "variables": variables}
        head = self._head | {"Accept": "text/event-stream"}
        async with self.session.post("/graphql", json=body, headers=head) as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    assert b'"errors"' not in line, line
                    return

    async def call(self, method: str, path: str, **more: Any) -> int:
        head = self._head | more.pop("headers", {})
        async with self.session.request(method, path, headers=head, **more) as answer:
            return answer.status

    async def hand_in(self, accounts: Accounts, cluster: Cluster) -> int:
        """The status of `/join` with a kubeconfig of the account's."""
        form = aiohttp.FormData()
        access = accounts.access(cluster)._replace(cluster="handed-in")
        form.add_field("file", build_kubeconfig([access]), filename="config")
        return await self.call("POST", "/join", data=form)

    async def pass_on(self, turns: asyncio.Semaphore, cluster: str, kinds: Kinds, use: Use) -> None:
        """The request of a verb, about an object that is not there."""
        resource, _, subresource = use.resource.replace("*", "openmcpclusters").partition("/")
        version, namespaced = kinds.get((use.group, resource), ("v1beta1", use.resource != "nodes"))
        root = f"/apis/{use.group}/{version}" if use.group else f"/api/{version}"
        parts = [root, *(("namespaces", "default") if namespaced else ()), resource]
        query = {"watch": {"watch": "1", "timeoutSeconds": "1"}, "deletecollection": {"labelSelector": "none=such"}}
        if subresource or use.verb not in _NAMELESS:
            parts += ["none", *([subresource] if subresource else [])]
        body = b"{}" if use.verb in ("create", "update", "patch") else None
        kind = {"Content-Type": "application/merge-patch+json" if use.verb == "patch" else "application/json"}
        path, method = f"/clusters/{cluster}{'/'.join(parts)}", _METHODS.get(use.verb, "GET")
        async with turns:
            await self.call(method, path, params=query.get(use.verb, {}), data=body, headers=kind if body else {})

    async def until_used(self, cluster: str, uses: set[Use]) -> None:
        left: set[Use] = set()

        def look() -> bool:
            left.clear()
            left.update(uses - self.trails[cluster].used())
            return not left

        try:
            await until(look, every=0.2)
        except AssertionError:
            raise AssertionError(f"granted in {cluster}, and not used: {sorted(map(str, left))}") from None


@asynccontextmanager
async def open_granted(accounts: Accounts, *folders: str, **settings: str) -> AsyncIterator[Granted]:
    """With what its settings take, and what these folders of k8s/member grant beside."""
    environment = accounts.environment() | {f"OPENMCP_{name.upper()}": value for name, value in settings.items()}
    port = free_port()
    listening = {"OPENMCP_HOST": "127.0.0.1", "OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(free_port())}
    taken = load_settings(environment)
    member = [*wanted(taken, "member"), *rights_of(*folders)]
    host = [*wanted(taken, "host"), *rights_of(*folders, where="host")]
    with ExitStack() as stack:
        rendered = "---\n".join((MEMBER / folder / "rbac.yaml").read_text() for folder in ("", *folders))
        for cluster in accounts.fleet.members:
            stack.enter_context(accounts.granted(cluster, rendered, member))
        told = {name: environment[name] for name in environment.keys() & TOLD}
        rendered = accounts.render_host(told, set(folders) & set(OFFERED))
        stack.enter_context(accounts.granted(accounts.fleet.host, rendered, [*member, *host]))
        log = accounts.folder / f"{'-'.join(('serve', *folders))}.log"
        trails = accounts.follow()
        async with (
            open_server("serve", environment=environment | listening, port=port, log=log) as server,
            aiohttp.ClientSession(server.url, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
        ):
            yield Granted(server, session, trails, uses_of(member), uses_of(host))


def load_kinds(cluster: Cluster) -> Kinds:
    """What the cluster serves."""
    versions = {"v1": "/api/v1"}
    for group in cluster.client.get("/apis")["groups"]:
        versions[group["preferredVersion"]["groupVersion"]] = f"/apis/{group['preferredVersion']['groupVersion']}"
    found: dict[tuple[str, str], tuple[str, bool]] = {}
    for name, path in versions.items():
        group, _, version = name.rpartition("/")
        for each in cluster.client.get(path)["resources"]:
            found[group, each["name"]] = version, each["namespaced"]
    return found
