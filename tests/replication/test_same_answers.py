"""A server that follows answers as one that watches: cases by hand with ill members, random documents, narrow rights.

`FUZZ_CASES=5000 FUZZ_SEED=7` asks for more documents, and for others.
"""

import contextlib
import os
import random
import re
from collections.abc import Callable

import orjson
import pytest

from auth.principal import Principal
from fleet.model.visibility import Role, Scope
from fleet.registry import FleetOptions
from graph.schema import schema
from realfleet.nats import NatsServer
from tests.fakes.kubernetes import FakeCluster, FakeSource, status_body
from tests.fakes.waiting import PATIENCE, until
from tests.graph.compiled.documents import DocumentMaker, Tastes
from tests.graph.compiled.own_graph import ALWAYS_FRESH, USERS, build_full_pod, furnish, wait_known
from tests.graph.compiled.shrinking import shrink
from tests.graph.compiled.test_own_graph import Asked, build_context
from tests.graph.conftest import ADMIN, Graph, build_cluster
from tests.replication.sharing import open_pair

CASES = int(os.environ.get("FUZZ_CASES", "150"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
MOMENTARY = re.compile(rb'"(?:t\d+|ageSeconds|tookMs)":[-+.e0-9]+|for \d+ s|after \d+ failed')
"""What is of the moment: ages, and how long something took."""

WATCHED = FleetOptions(member_timeout=0.5, heartbeat_seconds=0.05, fresh_seconds=2.0)
CALLERS = (
    ADMIN,
    Principal("olga", Scope(Role.EDIT, namespaces=("ops",))),
    Principal("carl", Scope(Role.VIEW, clusters=("c2",), namespaces=("shop",))),
    Principal("nora", Scope(Role.VIEW, clusters=("none",))),
)
_OUTCOMES = "clusters { name state message }"
ASKED = {
    **{
        f"pods, {mode}": f"{{ pods(onUnavailable: {mode}) {{ totalCount items {{ id status }} {_OUTCOMES} }} }}"
        for mode in ("PARTIAL", "STALE", "STRICT")
    },
    "nodes": f"{{ nodes(first: 20) {{ totalCount items {{ id status }} {_OUTCOMES} }} }}",
    "workloads": f"{{ workloads(first: 20) {{ totalCount items {{ id ready rollout }} {_OUTCOMES} }} }}",
    "events": f"{{ events(first: 20) {{ items {{ reason regarding {{ name }} }} {_OUTCOMES} }} }}",
    "clusters": "{ clusters { name health message version pods { totalCount } nodes { totalCount } } }",
    "problems": f"{{ problems {{ totalCount items {{ cause reason count clusters }} {_OUTCOMES} }} }}",
    "search": f'{{ search(text: "p0") {{ hits {{ kind cluster name }} {_OUTCOMES} }} }}',
    "one pod": '{ pod(cluster: "c2", namespace: "shop", name: "p0") { id status manifest labels { key value } } }',
    "one node": '{ node(cluster: "c2", name: "n1") { id status pods(first: 5) { totalCount } } }',
    "one cluster": '{ cluster(name: "c2") { health message version } }',
    "namespaces": '{ cluster(name: "c2") { namespaces { name } } }',
}


def refuse(path: str, status: int, message: str) -> Callable[[FakeCluster], None]:
    def begin(cluster: FakeCluster) -> None:
        cluster.statuses[path] = (status, status_body(status, message))

    return begin


ILLNESSES: dict[str, Callable[[FakeCluster], None]] = {
    "well": lambda cluster: None,
    "hanging": lambda cluster: cluster.answering.clear(),
    "refusing": lambda cluster: setattr(cluster, "refusing", True),
    "unready": refuse("/readyz", 500, "[-]etcd failed: reason withheld"),
    "not ours": refuse("/readyz", 401, "Unauthorized"),
    "hiding pods": refuse("/api/v1/pods", 403, 'pods is forbidden: User "system:serviceaccount:a:b" cannot list'),
    "failing nodes": refuse("/api/v1/nodes", 500, "etcdserver: request timed out, dial 10.0.0.7:2379"),
    "without Deployments": refuse("/apis/apps/v1/deployments", 404, "the server could not find the resource"),
    "hiding events": refuse("/api/v1/events", 403, "events is forbidden"),
}


async def answer(graph: Graph, text: str, asked: Asked) -> bytes:
    """As it is sent, but for what is of the moment."""
    context = build_context(graph, asked.who, compiled=True, encoded=asked.encoded)
    result = await schema.execute(text, asked.variables, context_value=context)
    errors = [error.formatted for error in result.errors or ()]
    return MOMENTARY.sub(b"", orjson.dumps({"data": result.data, "errors": errors}, default=str))


async def wait_alike(graphs: tuple[Graph, Graph]) -> None:
    """Until both answer everything alike, which they do a moment later than they noticed what they answer of."""
    for title, text in ASKED.items():
        for who in CALLERS:
            found: list[bytes] = []

            async def are_alike(text: str = text, who: Principal = who, found: list[bytes] = found) -> bool:
                found[:] = [await answer(graph, text, Asked(who, {}, encoded=False)) for graph in graphs]
                return found[0] == found[1]

            with contextlib.suppress(AssertionError):
                await until(are_alike)
            assert found[1] == found[0], f"{title}, asked by {who.name}"


async def answer_all(graph: Graph) -> list[bytes]:
    return [await answer(graph, text, Asked(who, {}, encoded=False)) for text in ASKED.values() for who in CALLERS]


async def is_noticed(graph: Graph, well: list[bytes]) -> bool:
    return await answer_all(graph) != well


async def tell_difference(watching: Graph, following: Graph, text: str, asked: Asked) -> None:
    """Fails with the smallest document that is answered otherwise."""

    async def fails(candidate: str) -> bool:
        return await answer(watching, candidate, asked) != await answer(following, candidate, asked)

    smallest = await shrink(schema._schema, text, fails)
    found = [(await answer(graph, smallest, asked)).decode() for graph in (watching, following)]
    pytest.fail(
        f"{smallest}\n\nby {asked.who.name} with {asked.variables}\n\nwatching: {found[0]}\n\nfollowing: {found[1]}"
    )


async def churn(graphs: tuple[Graph, Graph], rng: random.Random) -> None:
    """A pod comes, changes or goes, and is known of by both."""
    source = graphs[0].source
    cluster, namespace, name = rng.choice(("c1", "c2")), rng.choice(("shop", "ops")), f"p{rng.randrange(8)}"
    if (namespace, name) in source.clusters[cluster].objects["Pod"] and rng.random() < 0.5:
        source.clusters[cluster].delete("Pod", namespace, name)
    else:
        pod = build_full_pod(namespace, name, rng.choice(("n1", "n2", None)), f"a{rng.randrange(3)}")
        source.clusters[cluster].put(pod)
    for graph in graphs:
        await wait_known(graph, cluster)


@pytest.mark.parametrize("late", [False, True], ids=["from the start", "later"])
@pytest.mark.parametrize("illness", ILLNESSES)
async def test_an_ill_member_is_told_of_alike(nats_server: NatsServer, illness: str, late: bool) -> None:
    source = FakeSource(build_cluster("c1", 5), build_cluster("c2", 5))
    ill = source.clusters["c2"]
    if not late:
        ILLNESSES[illness](ill)
    async with open_pair(source, nats_server.url, WATCHED) as graphs:
        well = await answer_all(graphs[0])
        if late:
            await wait_alike(graphs)
            ILLNESSES[illness](ill)
            ill.cut_watches()
            if illness != "well":
                await until(lambda: is_noticed(graphs[0], well))
        await wait_alike(graphs)


# Core leaves the siblings of a field that failed unawaited.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_random_documents_are_answered_alike(nats_server: NatsServer) -> None:
    rng = random.Random(SEED)
    print(f"again: FUZZ_SEED={SEED} FUZZ_CASES={CASES} .venv/bin/python -m pytest {__file__}")
    source, telling = FakeSource(build_cluster("c1", 5), build_cluster("c2", 5)), 0
    async with open_pair(source, nats_server.url, ALWAYS_FRESH) as graphs:
        for graph in graphs:
            await graph.federation.wait_synced(PATIENCE)
        tastes = await furnish(graphs[0])
        for cluster in source.clusters:
            await wait_known(graphs[1], cluster)
        for _ in range(CASES):
            telling += await ask_random(graphs, rng, tastes)
    assert telling > CASES // 3, "too few answers to compare"


async def ask_random(graphs: tuple[Graph, Graph], rng: random.Random, tastes: Tastes) -> bool:
    """Asks both a document; whether they answered with more than a few words. Fails on a difference."""
    if rng.random() < 0.2:
        await churn(graphs, rng)
    graphs[0].store.failure = "the store is down" if rng.random() < 0.1 else None
    maker = DocumentMaker(schema._schema, rng, tastes)
    text = maker.make(rng.choice((3, 4, 5)), rng.choice((15, 30, 60)))
    asked = Asked(rng.choice(USERS), maker.draw_variables(), rng.random() < 0.6)
    found = [await answer(graph, text, asked) for graph in graphs]
    if found[0] != found[1]:
        await tell_difference(*graphs, text, asked)
    return len(found[0]) > 200 and b'"data":null' not in found[0]
