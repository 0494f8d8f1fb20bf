"""Reviews of an API server that asks a webhook before its RBAC, as those of cloud providers do."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import yaml
from aiohttp import web

from fleet.kubernetes.access_reviews import load_rights
from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.rights import Subject
from fleet.ports import Connection
from realfleet.apiserver import ApiServer, start_api_server, wait_ready
from realfleet.cache import find_binaries
from realfleet.etcd import start_etcd
from realfleet.pki import build_cluster_files
from realfleet.ports import list_free_ports
from realfleet.processes import open_servers
from tests.fakes.waiting import until
from tests.fleet.kubernetes.servers import open_http_server
from tests.real.impersonation import Binding, bound

pytestmark = pytest.mark.real

ANN = Subject("ann", ("team-a",))
ALLOWED, DENIED = {("list", "pods", "allowed"), ("watch", "nodes", "")}, {("list", "pods", "denied")}


async def authorize(request: web.BaseRequest) -> web.StreamResponse:
    """What the webhook says of ann; of others it has no opinion."""
    review = json.loads(await request.read())
    of = review["spec"].get("resourceAttributes", {})
    question = (of.get("verb"), of.get("resource"), of.get("namespace", ""))
    is_ann = review["spec"]["user"] == ANN.user
    review["status"] = {"allowed": is_ann and question in ALLOWED, "denied": is_ann and question in DENIED}
    return web.json_response(review)


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    path = tmp_path_factory.mktemp("webhook") / "kubeconfig"
    async with open_http_server(authorize) as url:
        cluster = {"clusters": [{"name": "webhook", "cluster": {"server": url}}], "users": [{"name": "nobody"}]}
        context = {"cluster": "webhook", "user": "nobody"}
        path.write_text(
            yaml.safe_dump(cluster | {"contexts": [{"name": "one", "context": context}], "current-context": "one"})
        )
        flags = ["--authorization-mode=Webhook,RBAC", f"--authorization-webhook-config-file={path}"]
        flags += [f"--authorization-webhook-cache-{kind}-ttl=0s" for kind in ("authorized", "unauthorized")]
        with open_servers() as servers:
            (port,) = list_free_ports(1)
            etcd, binaries = await asyncio.to_thread(start_etcd, servers, find_binaries()), find_binaries()
            files = build_cluster_files(servers.folder / "c1", "c1")
            opened = start_api_server(
                servers, binaries, "c1", port, files, etcd, [*flags, "--authorization-webhook-version=v1"]
            )
            await asyncio.to_thread(wait_ready, servers, opened)
            yield opened


@pytest.fixture
async def connection(api: ApiServer) -> AsyncIterator[Connection]:
    async with open_kubeconfig_source((api.write_kubeconfig(api.files.ca.with_name("kubeconfig")),)) as source:
        async for specs in source.snapshots():
            opened = await source.open_connection(specs["c1"])
            yield opened
            await opened.close()
            return


async def test_what_a_webhook_allows_and_denies_is_so(api: ApiServer, connection: Connection) -> None:
    bindings = [Binding("ann", ("list",), ("pods",), name) for name in ("denied", "bound")]
    for name in ("allowed", "denied", "bound"):
        await asyncio.to_thread(api.client.create, "/api/v1/namespaces", {"metadata": {"name": name}})
    with bound(api.client, *bindings):

        async def is_right() -> bool:
            rights = await load_rights(connection, ANN, ["allowed", "denied", "bound", "other"], 10.0)
            listed = {name for name in ("allowed", "denied", "bound", "other") if rights.allows("list", "pods", name)}
            assert "denied" not in listed
            return listed == {"allowed", "bound"} and rights.allows("watch", "nodes", None)

        await until(is_right, what="what the webhook and RBAC say together", every=0.1)
