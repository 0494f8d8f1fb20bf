"""Three server processes over one fleet: one that follows serves, byte by byte, what one that watches does."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import aiohttp
import orjson
import pytest

from auth.passwords import hash_password
from auth.users import User, save_users
from demo.run import HOST_CONTEXT
from demo.simulator import open_simulated_fleet
from fleet.model.visibility import Role, Scope
from realfleet.cache import MissingServersError, find_nats
from realfleet.nats import start_nats
from realfleet.processes import open_servers
from tests.acceptance.subscribing import over_events
from tests.fakes.waiting import until
from tests.processes import RunningServer, free_port, open_server
from tests.replication.test_same_answers import ASKED
from tests.required import go_without

USERS = {
    "ann": Scope(Role.ADMIN),
    "olga": Scope(Role.EDIT, namespaces=("shop", "default")),
    "carl": Scope(Role.VIEW, clusters=("cluster2",), namespaces=("default",)),
    "nora": Scope(Role.VIEW, clusters=("none",)),
}
QUERIES = [text.replace('"c2"', '"cluster2"') for text in ASKED.values()]
USAGE = (
    "{ pods(first: 20, orderBy: [{ usage: CPU_CORES, direction: DESC }]) { items { id usage { time cpuCores } } } }",
    "{ nodes(orderBy: [{ usage: MEMORY_BYTES, direction: DESC }]) { items { id usage { time memoryBytes } } } }",
)
PATHS = (
    "/api/v1/pods?clustername=cluster1&limit=3",
    "/api/v1/namespaces/default/pods?clustername=cluster2",
    "/api/v1/nodes?clustername=none",
    "/clusters/cluster1/apis/apps/v1/deployments",
    "/clusters/cluster2/api/v1/namespaces/default/pods/none",
    "/clusters/cluster2/api/v1/namespaces/default/secrets",
    "/clusters/cluster2/version",
    "/clusters/none/version",
    "/openapi.json",
    "/joinable",
    "/status?clustername=cluster1",
    "/metrics/nodes/none?clustername=cluster1",
)
MOMENTARY = re.compile(rb'"(?:ageSeconds|tookMs)":[-+.e0-9]+|for \d+ s')


class Trio(NamedTuple):
    watching: RunningServer
    writing: RunningServer
    following: RunningServer


@pytest.fixture(scope="module")
async def trio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trio]:
    try:
        program = find_nats()
    except MissingServersError as error:
        go_without(f"run make real: {error!s}")
    folder = tmp_path_factory.mktemp("trio")
    save_users(folder / "users", [User(name, hash_password("secret"), scope) for name, scope in USERS.items()])
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(open_servers())
        nats = await asyncio.to_thread(start_nats, servers, program)
        fleet = await stack.enter_async_context(open_simulated_fleet(clusters=2, pods=30))
        shared = {"OPENMCP_STATE": "nats", "OPENMCP_NATS_URL": nats.url}
        kinds = {"watching": {}, "writing": shared, "following": shared | {"OPENMCP_NATS_WRITES": "false"}}
        started = []
        for name, settings in kinds.items():
            port = free_port()
            environment = {
                "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
                "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
                "OPENMCP_HOST_CONTEXT": HOST_CONTEXT,
                "OPENMCP_EMBEDDED_FILE": str(folder / f"{name}.sqlite"),
                "OPENMCP_COLLECT_INTERVAL": "3s",
                "OPENMCP_USERS_FILE": str(folder / "users"),
                "OPENMCP_SIGNING_KEY": "a key for the tests of shared state",
                "OPENMCP_HOST": "127.0.0.1",
                "OPENMCP_PORT": str(port),
                "OPENMCP_OPS_PORT": str(free_port()),
                **settings,
            }
            server = open_server("serve", environment=environment, port=port, log=folder / f"{name}.log")
            started.append(await stack.enter_async_context(server))
        yield Trio(*started)


@pytest.fixture(scope="module")
async def tokens(trio: Trio) -> dict[str, str]:
    """One counts everywhere."""
    return {name: await trio.watching.sign_in(name, "secret") for name in USERS}


async def fetch(server: RunningServer, token: str, path: str, query: str | None = None) -> tuple[int, str, bytes]:
    """Status, media type, and the body without what is of the moment."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(server.url, headers=headers) as session,
        session.request("POST" if query else "GET", path, json={"query": query} if query else None) as answer,
    ):
        return answer.status, answer.content_type, MOMENTARY.sub(b"", await answer.read())


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("query", QUERIES, ids=list(ASKED))
async def test_the_graph_answers_the_same_bytes(trio: Trio, tokens: dict[str, str], user: str, query: str) -> None:
    async def is_same() -> bool:
        found = [await fetch(server, tokens[user], "/graphql", query) for server in trio]
        return found[0] == found[1] == found[2]

    await until(is_same, every=0.1)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("path", PATHS)
async def test_other_urls_answer_the_same_bytes(trio: Trio, tokens: dict[str, str], user: str, path: str) -> None:
    watched, followed = [await fetch(server, tokens[user], path) for server in (trio.watching, trio.following)]
    assert followed == watched


@pytest.mark.parametrize(("user", "query"), [("ann", USAGE[0]), ("carl", USAGE[0]), ("ann", USAGE[1])])
async def test_pages_by_usage_have_what_the_writer_measured(
    trio: Trio, tokens: dict[str, str], user: str, query: str
) -> None:
    async def is_same() -> bool:
        written, followed = [await fetch(server, tokens[user], "/graphql", query) for server in trio[1:]]
        return b'"time":"' in written[2] and written == followed

    await until(is_same, every=0.1)


async def test_a_subscriber_of_a_follower_is_told_what_one_of_a_watching_server_is(
    trio: Trio, tokens: dict[str, str]
) -> None:
    query = "subscription { podEvents { type pod { id status labels { key value } } } }"
    listed = orjson.loads((await fetch(trio.watching, tokens["carl"], "/graphql", "{ pods { totalCount } }"))[2])
    told = []
    for server in (trio.watching, trio.following):
        async with over_events(server, tokens["carl"], query) as take:
            told.append(sorted([str(await take()) for _ in range(listed["data"]["pods"]["totalCount"])]))
    assert told[0] == told[1]
