"""Where members decide: nobody is shown more than the member itself would show him, nor less than it might be.

`FUZZ_CASES=100 FUZZ_SEED=7` asks about more users, with other rights.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from graph.subscriptions.sessions import RECHECK_SECONDS
from realfleet.fleet import Fleet
from realfleet.kubeconfig import Access, build_kubeconfig, write_private
from tests.fakes.waiting import PATIENCE, until
from tests.processes import COMMAND, RunningServer, free_port, open_server
from tests.real.impersonation import GROUPS, PASSWORD, Asker, AsUser, Binding, bound, name_users, write_users

pytestmark = pytest.mark.real

CASES, SEED = int(os.environ.get("FUZZ_CASES", "12")), int(os.environ.get("FUZZ_SEED", "1"))
MAX_AGE = 5.0
"""The server's OPENMCP_REVIEW_MAX_AGE here, in seconds."""

CLUSTER = "cluster1"
NAMESPACES = ("default", "shop", "data", "monitoring")
READS = ("get", "list", "watch")
POD_LISTS = tuple(f"/api/v1/namespaces/{name}/pods" for name in NAMESPACES)
CORE, APPS = "/api/v1", "/apis/apps/v1"

QUERIES = (  # each by itself: where a cluster that is named shows nothing, that is an error of the whole answer
    """{ pods(first: 1000, filter: {clusters: ["cluster1"]}) { totalCount counts(by: NAMESPACE) { count }
      groups(by: [NAMESPACE]) { items { count } } items { namespace name node { name } workload { name } } } }""",
    """{ nodes(first: 1000, filter: {clusters: ["cluster1"]}) { totalCount
      items { name requested { cpuCores } } } }""",
    """{ workloads(first: 1000, filter: {clusters: ["cluster1"]}) { totalCount items { namespace name } } }""",
    """{ events(first: 1000, filter: {clusters: ["cluster1"]}) { totalCount
      items { namespace reason regarding { name } } } }""",
    """{ search(text: "e", first: 100, kinds: [POD, NODE, NAMESPACE, WORKLOAD]) {
      hits { kind cluster namespace name } } }""",
    """{ clusters { name namespaces { name } capacity { cpuCores } requested { cpuCores } } }""",
)


@pytest.fixture(scope="module")
async def server(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    folder, port = tmp_path_factory.mktemp("impersonate"), free_port()
    environment = real_fleet.environment() | {
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(free_port()),
        "OPENMCP_AUTHORIZATION": "impersonate",
        "OPENMCP_REVIEW_MAX_AGE": f"{MAX_AGE:g}s",
        "OPENMCP_USERS_FILE": str(write_users(folder / "users.yaml")),
    }
    async with open_server("serve", environment=environment, port=port, log=folder / "serve.log") as opened:
        yield opened


@pytest.fixture(scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as opened:
        yield opened


USERS = enumerate(name_users())


async def sign_in(server: RunningServer, session: aiohttp.ClientSession) -> tuple[Asker, str, str]:
    """A user whom neither the server nor a binding has heard of, by name and group."""
    number, user = next(USERS)
    return Asker(server.url, await server.sign_in(user, PASSWORD), session), user, GROUPS[number % len(GROUPS)]


BINDINGS = st.lists(
    st.builds(
        Binding,
        subject=st.sampled_from(("user", "group")),
        verbs=st.sets(st.sampled_from((*READS, "*")), min_size=1).map(lambda verbs: tuple(sorted(verbs))),
        kinds=st.sets(
            st.sampled_from(("pods", "nodes", "namespaces", "events", "deployments.apps", "configmaps", "*.*")),
            min_size=1,
            max_size=4,
        ).map(lambda kinds: tuple(sorted(kinds))),
        namespace=st.sampled_from((None, *NAMESPACES)),
        names=st.sampled_from(((), (), (), ("shop",), ("kube1-worker1",))),
    ),
    max_size=4,
)


@given(bindings=BINDINGS)
@settings(
    max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate]
)
@seed(SEED)
async def test_nobody_is_shown_more_than_the_member_shows_him_nor_less(
    real_fleet: Fleet, server: RunningServer, session: aiohttp.ClientSession, bindings: list[Binding]
) -> None:
    member = real_fleet.cluster(CLUSTER)
    asker, user, group = await sign_in(server, session)
    subjects = {"user": user, "group": f"group:{group}"}
    bindings = [replace(binding, subject=subjects[binding.subject]) for binding in bindings]
    with bound(member.client, *bindings):
        oracle = AsUser(member, user, group)
        await until(lambda: all(map(oracle.holds, bindings)), what="that all bindings are in force", every=0.05)
        missing: dict[str, Any] = {}

        async def is_the_same() -> bool:
            missing.clear()
            answers = [await asker.ask(query) for query in QUERIES]
            data = {name: value for answer in answers for name, value in (answer["data"] or {}).items()}
            missing.update(compare(data, oracle))
            return not missing

        try:
            await until(is_the_same, what="the same answer", every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {user} with {bindings} does not see {missing}") from None


def compare(data: dict[str, Any], oracle: AsUser) -> dict[str, Any]:
    """What the member would have shown besides, by kind; fails where more was answered.

    The member is asked after this server was: rights are only added meanwhile.
    """
    pods = oracle.list_names(CORE, "pods", NAMESPACES)
    nodes = oracle.list_names(CORE, "nodes")
    deployments = oracle.list_names(APPS, "deployments", NAMESPACES)
    all_pods, in_namespaces = oracle.may_read(f"{CORE}/pods"), {name for name in NAMESPACES if may_list(oracle, name)}
    workloads = {entry for entry in deployments if entry[0] in in_namespaces}
    every = real_namespaces(oracle)
    shown: dict[str, tuple[set[Any], set[Any]]] = {
        "pods": ({(pod["namespace"], pod["name"]) for pod in items(data, "pods")}, pods),
        "nodes": ({("", node["name"]) for node in items(data, "nodes")}, nodes),
        "workloads": ({(one["namespace"], one["name"]) for one in items(data, "workloads")}, workloads),
        "events": (
            {(one["namespace"], one["reason"], one["regarding"]["name"]) for one in items(data, "events")},
            oracle.list_events(NAMESPACES),
        ),
        "namespaces": ({("", name) for name in named_namespaces(data)}, every),
    }
    for kind, (ours, theirs) in shown.items():
        assert ours <= theirs, (kind, ours - theirs)
    seen = {"POD": pods, "NODE": nodes, "NAMESPACE": every, "WORKLOAD": workloads}
    for hit in (data.get("search") or {"hits": ()})["hits"]:
        assert hit["cluster"] != CLUSTER or (hit["namespace"] or "", hit["name"]) in seen[hit["kind"]], hit
    for pod in items(data, "pods"):
        assert pod["node"] is None or oracle.may_read(f"{CORE}/nodes/{pod['node']['name']}")
        workload = pod["workload"]
        path = f"{APPS}/namespaces/{pod['namespace']}/deployments"
        assert workload is None or oracle.may_read(f"{path}/{workload['name']}")
    for node in items(data, "nodes"):
        assert node["requested"]["cpuCores"] is None or all_pods
    check_sums(data, all_pods=all_pods, nodes=bool(nodes))
    return {kind: theirs - ours for kind, (ours, theirs) in shown.items() if ours != theirs}


def check_sums(data: dict[str, Any], *, all_pods: bool, nodes: bool) -> None:
    for name in ("pods", "nodes", "workloads", "events"):
        assert not data.get(name) or data[name]["totalCount"] == len(data[name]["items"])
    if data.get("pods"):
        count = len(data["pods"]["items"])
        assert sum(entry["count"] for entry in data["pods"]["counts"]) == count
        assert sum(entry["count"] for entry in data["pods"]["groups"]["items"]) == count
    for cluster in data.get("clusters") or ():
        if cluster["name"] == CLUSTER:
            assert cluster["capacity"] is None or nodes
            assert cluster["requested"] is None or (nodes and all_pods)


def items(data: dict[str, Any], name: str) -> list[Any]:
    return list((data.get(name) or {"items": ()})["items"])


def named_namespaces(data: dict[str, Any]) -> list[str]:
    found = [one["namespaces"] or () for one in data.get("clusters") or () if one["name"] == CLUSTER]
    return [entry["name"] for entries in found for entry in entries]


def may_list(oracle: AsUser, namespace: str) -> bool:
    return oracle.may_read(f"{CORE}/namespaces/{namespace}/pods")


def real_namespaces(oracle: AsUser) -> set[tuple[str, str]]:
    listed = oracle.list_names(CORE, "namespaces")
    names = [*NAMESPACES, "kube-system", "kube-public", "kube-node-lease"]
    return listed or {("", name) for name in names if oracle.may_read(f"{CORE}/namespaces/{name}")}


SHOP = f"{CORE}/namespaces/shop/pods"
DATA = f"{CORE}/namespaces/data/pods"
LIST = "{ pods(first: 1000) { items { cluster { name } namespace name } clusters { name state message } } }"


@asynccontextmanager
async def open_events(asker: Asker, query: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The lines of a subscription's stream."""
    headers = {"Authorization": f"Bearer {asker.token}", "Accept": "text/event-stream"}
    async with asker.session.post(f"{asker.url}/graphql", json={"query": query}, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        yield aiter(answer.content)


async def read_on(lines: AsyncIterator[bytes], wanted: bytes) -> bytes:
    """What comes until a line has it. What ends without one fails the test."""
    read = b""
    async for line in lines:
        read += line
        if wanted in line:
            return read
    raise AssertionError(f"the stream ended without {wanted!r}")


async def test_a_binding_taken_away_ends_what_was_opened_by_it(
    real_fleet: Fleet, server: RunningServer, session: aiohttp.ClientSession
) -> None:
    member = real_fleet.cluster(CLUSTER)
    asker, user, _ = await sign_in(server, session)
    with bound(member.client, Binding(user, READS, ("pods",), "shop")) as (path,):
        await until(lambda: AsUser(member, user, GROUPS[0]).may_read(SHOP), what="that the binding is in force")
        watch = f"{server.url}/clusters/{CLUSTER}{SHOP}?watch=true"
        headers = {"Authorization": f"Bearer {asker.token}"}
        events = "subscription { podEvents { type pod { namespace name } } }"
        async with open_events(asker, events) as told, session.get(watch, headers=headers) as watched:
            lines = aiter(watched.content)
            assert b'"shop"' in await read_on(told, b"ADDED")
            assert b"ADDED" in await read_on(lines, b"ADDED")
            loop = asyncio.get_running_loop()
            member.client.delete(path)
            removed = loop.time()
            _, error = await asyncio.gather(read_on(told, b"your rights have changed"), read_on(lines, b'"ERROR"'))
            took = loop.time() - removed
        assert b"does not let user" in error
        # As stated: a member's word counts so long, and is looked at so often; the rest is the machine.
        assert took < MAX_AGE + RECHECK_SECONDS + 10.0
        answer = await asker.ask(LIST)
        assert not answer["data"]["pods"]["items"]


async def until_answered(asker: Asker, path: str, status: int) -> None:
    async def is_answered() -> bool:
        return (await asker.call("GET", path))[0] == status

    await until(is_answered, what=f"{status} to {path}", every=0.1)


async def test_passed_through_is_what_the_member_answers_to_the_user(
    real_fleet: Fleet, server: RunningServer, session: aiohttp.ClientSession
) -> None:
    member = real_fleet.cluster(CLUSTER)
    asker, user, _ = await sign_in(server, session)
    maps, body = f"{CORE}/namespaces/shop/configmaps", {"metadata": {"name": f"of-{user}"}}
    bindings = (
        Binding(user, ("get", "list"), ("pods",), "shop"),
        Binding(user, ("create", "delete"), ("configmaps",), "shop"),
    )
    with bound(member.client, *bindings):
        await until_answered(asker, f"/clusters/{CLUSTER}{SHOP}", 200)
        (pod,) = member.client.get(f"{SHOP}?limit=1")["items"]
        name = pod["metadata"]["name"]
        json_body = {"Content-Type": "application/json"}
        allowed = [
            await asker.call("GET", f"{SHOP}?clustername={CLUSTER}"),
            await asker.call("GET", f"/clusters/{CLUSTER}{SHOP}/{name}"),
            await asker.call("POST", f"/clusters/{CLUSTER}{maps}", body, **json_body),
            await asker.call("DELETE", f"/clusters/{CLUSTER}{maps}/of-{user}"),
        ]
        assert [status for status, _ in allowed] == [200, 200, 201, 200]
        upgrade = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
        refused = [
            await asker.call("GET", f"{DATA}?clustername={CLUSTER}"),
            await asker.call("GET", f"/clusters/{CLUSTER}{CORE}/nodes"),
            await asker.call("GET", f"/clusters/{CLUSTER}{DATA}?watch=true"),
            await asker.call("GET", f"/clusters/{CLUSTER}{SHOP}/{name}/log"),
            await asker.call("POST", f"/clusters/{CLUSTER}{SHOP}/{name}/exec?command=ls&stdout=true", **upgrade),
            await asker.call("POST", f"/clusters/{CLUSTER}{SHOP}/{name}/portforward", **upgrade),
            await asker.call("POST", f"{SHOP}/{name}/exec?clustername={CLUSTER}&podname={name}", "ls"),
            await asker.call("POST", f"/clusters/{CLUSTER}{SHOP}", body, **json_body),
            await asker.call("DELETE", f"/clusters/{CLUSTER}{SHOP}/{name}"),
        ]
        words = f'User \\"{user}\\" cannot'.encode()
        assert [(status, words in said) for status, said in refused] == [(403, True)] * 9
        own = [f"/metrics/nodes/kube1-worker1?clustername={CLUSTER}", f"/status?clustername={CLUSTER}"]
        own.append(f"/metrics/namespaces/data/pods/{name}?clustername={CLUSTER}")
        answers = [await asker.call("GET", path) for path in own]
        assert [(status, b"does not let user" in said) for status, said in answers] == [(403, True)] * 3
        usage = await asker.call("GET", f"/metrics/namespaces/shop/pods/{name}?clustername={CLUSTER}")
        assert usage[0] == 200


async def test_who_may_do_nothing_in_a_cluster_does_not_learn_of_it(
    real_fleet: Fleet, server: RunningServer, session: aiohttp.ClientSession
) -> None:
    asker, _, _ = await sign_in(server, session)
    answer = await asker.ask("{ clusters { name } pods { clusters { name } } }")
    assert CLUSTER not in json.dumps(answer)
    named = await asker.ask('{ cluster(name: "cluster1") { name } }')
    assert named["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert (await asker.call("GET", f"/clusters/{CLUSTER}{SHOP}"))[0] == 404


async def test_who_cannot_be_asked_shows_nothing_until_it_can(
    real_fleet: Fleet, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    member, port = real_fleet.cluster(CLUSTER), free_port()
    access = Access(CLUSTER, member.url, member.api.access.ca_pem, member.api.tokens.viewer)
    environment = {
        "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
        "OPENMCP_KUBECONFIG": str(write_private(tmp_path / "kubeconfig", build_kubeconfig([access]))),
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": "0",
        "OPENMCP_SIGNING_KEY": real_fleet.signing_key,
        "OPENMCP_AUTHORIZATION": "impersonate",
        "OPENMCP_USERS_FILE": str(write_users(tmp_path / "users.yaml")),
        "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.db"),
    }
    assert "needs the rights to impersonate users and groups" in await check(environment)
    opening = open_server("serve", environment=environment, port=port, log=tmp_path / "serve.log")
    async with opening as server:
        asker, user, _ = await sign_in(server, session)
        with bound(member.client, Binding(user, READS, ("pods",), "shop")):
            (outcome,) = (pods := (await asker.ask(LIST))["data"]["pods"])["clusters"]
            assert (pods["items"], outcome["state"]) == ([], "FORBIDDEN")
            assert "needs the rights to impersonate users and groups" in outcome["message"]
            assert (await asker.call("GET", f"/clusters/{CLUSTER}{SHOP}"))[0] == 403
            with bound(member.client, Binding("group:viewers", ("impersonate",), ("users", "groups"))):

                async def is_seen() -> bool:
                    answer = await asker.ask(LIST)
                    return {item["namespace"] for item in answer["data"]["pods"]["items"]} == {"shop"}

                await until(is_seen, what="pods of the namespace shop alone", every=0.1)
                assert "  ok  " in await check(environment)


async def check(environment: dict[str, str]) -> str:
    """What `openmcp-apiserver check` says of the cluster."""
    process = await asyncio.create_subprocess_exec(COMMAND, "check", env=environment, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return next(line for line in said.decode().splitlines() if CLUSTER in line)


async def test_a_cluster_that_hangs_costs_its_own_part(
    real_fleet: Fleet, server: RunningServer, session: aiohttp.ClientSession
) -> None:
    members = [real_fleet.cluster(name) for name in ("cluster1", "cluster2")]
    asker, user, _ = await sign_in(server, session)
    grant = Binding(user, READS, ("pods",), "shop")
    with bound(members[0].client, grant), bound(members[1].client, grant):
        await until(lambda: all(AsUser(member, user, GROUPS[0]).may_read(SHOP) for member in members))
        with members[1].paused():
            pods = (await asker.ask(LIST))["data"]["pods"]
            assert {item["cluster"]["name"] for item in pods["items"]} == {"cluster1"}
            (outcome,) = (each for each in pods["clusters"] if each["name"] == "cluster2")
            assert outcome["state"] == "FORBIDDEN"
            assert "what cluster2 lets you see is not known" in outcome["message"]

        async def are_both_seen() -> bool:
            answer = await asker.ask(LIST)
            return {item["cluster"]["name"] for item in answer["data"]["pods"]["items"]} == {"cluster1", "cluster2"}

        await until(are_both_seen, what="pods of both clusters", every=0.2)


async def test_names_take_get_and_subscriptions_take_watch(
    real_fleet: Fleet, server: RunningServer, session: aiohttp.ClientSession
) -> None:
    member = real_fleet.cluster(CLUSTER)
    asker, user, _ = await sign_in(server, session)
    pods = [pod["metadata"]["name"] for pod in member.client.get(f"{SHOP}?limit=2")["items"]]
    bindings = (
        Binding(user, ("get",), ("pods",), "shop", (pods[0],)),
        Binding(user, ("get",), ("nodes",), None, ("kube1-worker1",)),
        Binding(user, ("watch",), ("pods", "configmaps"), "data"),
        Binding(user, ("list",), ("pods", "configmaps"), "monitoring"),
        Binding(user, ("list",), ("configmaps",), "data"),
    )
    with bound(member.client, *bindings):
        oracle = AsUser(member, user, GROUPS[0])
        await until(lambda: all(map(oracle.holds, bindings)), what="that all bindings are in force", every=0.05)
        answers = [
            await asker.ask(f'{{ pod(cluster: "cluster1", namespace: "shop", name: "{name}") {{ name }} }}')
            for name in pods
        ]
        answers += [
            await asker.ask(f'{{ node(cluster: "cluster1", name: "{name}") {{ name requested {{ cpuCores }} }} }}')
            for name in ("kube1-worker1", "kube1-worker2")
        ]
        assert [
            answer.get("errors", [{"extensions": {"code": None}}])[0]["extensions"]["code"] for answer in answers
        ] == [
            None,
            "FORBIDDEN",
            None,
            "FORBIDDEN",
        ]
        assert answers[2]["data"]["node"]["requested"]["cpuCores"] is None
        listed = await asker.ask(LIST)
        assert {item["namespace"] for item in listed["data"]["pods"]["items"]} == {"monitoring"}
        name = f"of-{user}"
        maps = [f"{CORE}/namespaces/{namespace}/configmaps" for namespace in ("monitoring", "data")]
        objects = 'subscription { resourceEvents(apiVersion: "v1", kind: "ConfigMap") { resource { namespace name } } }'
        pods_of = "subscription { podEvents(filter: {namespaces: [%s]}) { pod { namespace } } }"
        async with open_events(asker, objects) as changed, open_events(asker, pods_of % '"data"') as told:
            assert b'"data"' in await read_on(told, b"namespace")
            for path in maps:
                member.client.create(path, {"metadata": {"name": name}})
            # The one that may not be watched was made first.
            assert b"monitoring" not in await read_on(changed, name.encode())
        async with open_events(asker, pods_of % '"monitoring"') as told:
            assert b"FORBIDDEN" in await read_on(told, b"errors")
        for path in maps:
            member.client.delete(f"{path}/{name}")
