"""What replicas show of real clusters beside what they remember: rights, what is passed on, streams, ill members."""

import asyncio
import itertools
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from realfleet.client import KubeClient, KubeError
from realfleet.fleet import Fleet
from realfleet.kubeconfig import Access
from realfleet.membership import (
    KUBEFED_PATH,
    SECRETS_PATH,
    build_healthy_status,
    place_of,
    register_member,
    secret_name,
    unregister_member,
)
from realfleet.nats import NatsServer
from tests.acceptance.subscribing import Next, over_events
from tests.fakes.waiting import PATIENCE, until
from tests.processes import free_port
from tests.real.impersonation import GROUPS, PASSWORD, Asker, AsUser, Binding, bound, write_users
from tests.real.test_impersonation import APPS, CORE, QUERIES, READS, compare, read_on
from tests.replication.replicas import ReplicaProcess, open_replicas

pytestmark = pytest.mark.real

USER, SHOP, MAPS = "user-0", f"{CORE}/namespaces/shop/pods", f"{CORE}/namespaces/shop/configmaps"
THROUGH = "/clusters/cluster1"
JSON = {"Content-Type": "application/json"}
SPDY = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"}
WRITES, FOLLOWS, WATCHES = {"OPENMCP_STATE": "nats"}, {"OPENMCP_NATS_WRITES": "false"}, {"OPENMCP_STATE": "embedded"}
MOMENTARY = re.compile(r"for \d+ s|after \d+ failed")
CLUSTERS = """{ clusters { name role health message version pods { totalCount } nodes { totalCount } }
  pods(first: 1000) { totalCount items { id status } clusters { name state message } }
  nodes(onUnavailable: STALE) { totalCount clusters { name state message } } }"""
WITHIN = 'filter: {clusters: ["cluster1"], namespaces: ["shop"]}'
STATES = f"{{ pods({WITHIN}) {{ totalCount clusters {{ state message }} }} }}"
PODS = f"subscription {{ podEvents({WITHIN}) {{ type pod {{ name }} }} }}"
KINDS = (
    f'subscription {{ resourceEvents(apiVersion: "v1", kind: "ConfigMap", {WITHIN}) {{ type resource {{ name }} }} }}'
)
LOGS = 'subscription { logs(cluster: "cluster1", namespace: "shop", pod: "stays", tailLines: 1) { line } }'
LASTS = {PODS: ("ADDED", "comes"), KINDS: ("ADDED", "comes"), LOGS: ("", "later")}


@asynccontextmanager
async def opened(
    fleet: Fleet, nats: NatsServer, folder: Path, *kinds: dict[str, str], **more: str
) -> AsyncIterator[list[ReplicaProcess]]:
    """A replica of each kind, all at once."""
    common = {name: value for name, value in fleet.environment().items() if name != "OPENMCP_KUBECONFIG"} | more
    async with AsyncExitStack() as stack:
        opening = []
        for number, kind in enumerate(kinds):
            (made := folder / str(number)).mkdir()
            opening.append(open_replicas(fleet.kubeconfig, nats.url, made, **common | kind))
        yield [replica for (replica,) in await asyncio.gather(*map(stack.enter_async_context, opening))]


@asynccontextmanager
async def impersonating(
    fleet: Fleet, nats: NatsServer, folder: Path
) -> AsyncIterator[tuple[list[ReplicaProcess], list[Asker]]]:
    """Two that may write and one that follows whatever happens, and a user of each, whose token counts at all."""
    users = str(write_users(folder / "users.yaml"))
    more = {"OPENMCP_AUTHORIZATION": "impersonate", "OPENMCP_REVIEW_MAX_AGE": "5s", "OPENMCP_USERS_FILE": users}
    async with (
        opened(fleet, nats, folder, WRITES, WRITES, FOLLOWS, **more) as replicas,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
    ):
        token = await replicas[0].server.sign_in(USER, PASSWORD)
        yield replicas, [Asker(replica.server.url, token, session) for replica in replicas]


async def test_a_user_is_shown_the_same_by_who_writes_and_who_follows(
    real_fleet: Fleet, nats_server: NatsServer, tmp_path: Path
) -> None:
    member = real_fleet.cluster("cluster1")
    oracle, pod = AsUser(member, USER, GROUPS[0]), member.client.get(f"{SHOP}?limit=1")["items"][0]["metadata"]["name"]
    bindings = (
        Binding(USER, READS, ("pods", "events"), "shop"),
        Binding(USER, READS, ("deployments.apps",), "data"),
        Binding(USER, ("get", "list"), ("nodes", "namespaces")),
        Binding(USER, ("create", "get", "delete"), ("configmaps",), "shop"),
    )
    with bound(member.client, *bindings) as (pods, *_):
        await until(lambda: all(map(oracle.holds, bindings)), what="that all bindings are in force", every=0.05)
        async with impersonating(real_fleet, nats_server, tmp_path) as (replicas, askers):

            async def is_the_same() -> bool:
                answers = [[await asker.ask(query) for query in QUERIES] for asker in askers]
                data = {name: value for answer in answers[2] for name, value in (answer["data"] or {}).items()}
                return answers[0] == answers[1] == answers[2] and not compare(data, oracle)

            await until(is_the_same, what="the same answer as the member's", every=0.2)
            assert not await replicas[2].written()
            for asker in askers:
                answers = [
                    await asker.call("GET", f"{THROUGH}{SHOP}/{pod}"),
                    await asker.call("POST", f"{THROUGH}{MAPS}", {"metadata": {"name": "passed-on"}}, **JSON),
                    await asker.call("DELETE", f"{THROUGH}{MAPS}/passed-on"),
                    await asker.call("GET", f"{THROUGH}{APPS}/namespaces/shop/deployments"),
                    await asker.call("GET", f"{THROUGH}{SHOP}/{pod}/log"),
                    await asker.call("DELETE", f"{THROUGH}{SHOP}/{pod}"),
                ]
                assert [status for status, _ in answers] == [200, 201, 200, 403, 403, 403]
                assert all(f'User \\"{USER}\\" cannot'.encode() in said for _, said in answers[3:])
            member.client.delete(pods)

            async def is_hidden() -> bool:
                answers = [await asker.ask(STATES) for asker in askers]
                return not any(answer["data"] and answer["data"]["pods"]["totalCount"] for answer in answers)

            await until(is_hidden, what="that the binding taken away counts everywhere", every=0.1)
            assert [(await asker.call("GET", f"{THROUGH}{SHOP}"))[0] for asker in askers] == [403] * 3


class Heard:
    """What a subscriber is told, kept in a task until the stream ends: types and names, or lines of a log."""

    def __init__(self, take: Next) -> None:
        self.events: list[tuple[str, str]] = []
        self.task = asyncio.create_task(self._follow(take))

    async def _follow(self, take: Next) -> None:
        while True:
            (event,) = (await take())["data"].values()
            said = event.get("pod") or event.get("resource")
            self.events.append((event["type"], said["name"]) if said else ("", event["line"]))


def put(client: KubeClient, path: str, name: str) -> None:
    more = (
        {"spec": {"nodeName": "kube1-worker1", "containers": [{"name": "main", "image": "a"}]}} if path == SHOP else {}
    )
    client.create(path, {"metadata": {"name": name}, **more})


def delete(client: KubeClient, path: str) -> None:
    with suppress(KubeError):
        client.delete(f"{path}?gracePeriodSeconds=0")


async def test_what_is_open_goes_on_when_a_member_gets_another_writer(
    real_fleet: Fleet, nats_server: NatsServer, tmp_path: Path
) -> None:
    member, pod = real_fleet.cluster("cluster1"), f"{THROUGH}{SHOP}/stays"
    client = member.client
    async with AsyncExitStack() as stack:
        kinds = ("pods", "pods/log", "pods/exec", "configmaps", "namespaces")
        stack.enter_context(bound(client, Binding(USER, ("*",), kinds)))
        for path in (f"{SHOP}/goes", f"{SHOP}/stays", f"{SHOP}/comes", f"{MAPS}/comes"):
            stack.callback(delete, client, path)
        put(client, SHOP, "goes")
        put(client, SHOP, "stays")
        real_fleet.kubectl("cluster1", "wait", "-n=shop", "--for=condition=Ready", "pod/goes", "pod/stays")
        pods = len(client.get(SHOP)["items"])
        serving = impersonating(real_fleet, nats_server, tmp_path)
        (*writing, follower), (*askers, asker) = await stack.enter_async_context(serving)
        first = "cluster1" in await writing[0].written()
        killed, other = writing if first else reversed(writing)
        taker = askers[1 if first else 0]

        async def ask() -> Any:
            return (await asker.ask(STATES))["data"]["pods"]

        async def is_seen() -> bool:
            return bool((await ask())["totalCount"] == pods)

        await until(is_seen, what="that the user sees all pods", every=0.1)
        heard: dict[tuple[ReplicaProcess, str], Heard] = {}
        for replica, query in itertools.product((follower, other), LASTS):
            stream = over_events(replica.server, asker.token, query)
            heard[replica, query] = each = Heard(await stack.enter_async_context(stream))
            stack.callback(each.task.cancel)
        headers, execute = {"Authorization": f"Bearer {asker.token}"}, f"{pod}/exec?stdout=true&stdin=true&command=cat"
        watch, log = [
            aiter((await stack.enter_async_context(asker.session.get(at.url + path, headers=headers))).content)
            for at, path in ((asker, f"{THROUGH}{MAPS}?watch=true"), (taker, f"{pod}/log?follow=true&tailLines=1"))
        ]
        url, protocol = taker.url.replace("http", "ws", 1) + execute, Subprotocol("v5.channel.k8s.io")
        shell = await stack.enter_async_context(connect(url, additional_headers=headers, subprotocols=[protocol]))

        async def echo(word: bytes) -> None:
            await shell.send(b"\0" + word)
            async with asyncio.timeout(PATIENCE):
                while word not in await shell.recv(decode=False):
                    pass

        await until(lambda: all(len(heard[replica, PODS].events) == pods for replica in (follower, other)))
        killed.send(signal.SIGKILL)
        put(client, SHOP, "comes")
        delete(client, f"{SHOP}/goes")
        rounds = 0
        while "cluster1" not in await other.written():
            rounds += 1
            by = (asker, taker)[rounds % 2]
            statuses = [
                (await by.call("GET", pod))[0],
                (await by.call("POST", f"{THROUGH}{MAPS}", {"metadata": {"name": "passed-on"}}, **JSON))[0],
                (await by.call("DELETE", f"{THROUGH}{MAPS}/passed-on"))[0],
            ]
            assert statuses == [200, 201, 200]
            async with asker.session.post(by.url + execute, headers=headers | SPDY) as answer:
                assert answer.status == 101
                answer.close()
            await echo(b"during")
            (outcome,) = (await ask())["clusters"]
            assert outcome["state"] == "OK" or "nothing was heard of cluster1" in outcome["message"], outcome
        await echo(b"after")
        put(client, MAPS, "comes")

        def are_told() -> bool:
            with member.container_log.open("a") as lines:
                lines.write("2030-01-01T00:00:00.000000000Z stdout F later\n")
            return all(LASTS[query] in each.events for (_, query), each in heard.items())

        await until(are_told, what="that all are told of what came later", every=0.1)
        await read_on(log, b"later")
        assert (await read_on(watch, b'"comes"')).count(b'"type":"DELETED"') == rounds
        for replica in (follower, other):
            told = heard[replica, PODS].events[pods:]
            assert {name for _, name in told} == {"comes", "goes"}
            assert sorted(event for event in told if event[0] != "MODIFIED") == [
                ("ADDED", "comes"),
                ("DELETED", "goes"),
            ]
            told = heard[replica, KINDS].events
            passed = [event for event in told if event[1] == "passed-on"]
            # What came and went between two messages is never told of.
            assert passed == [("ADDED", "passed-on"), ("DELETED", "passed-on")] * (len(passed) // 2)
            assert len(set(told)) == len(told) - max(0, len(passed) - 2), "told once of all others"


async def test_members_that_cannot_be_had_are_told_of_alike(
    real_fleet: Fleet, nats_server: NatsServer, tmp_path: Path
) -> None:
    host, access, found = real_fleet.host.client, real_fleet.cluster("cluster2").access, list[str]()
    with ExitStack() as stack:
        for name, url in (("bare", access.url), ("dead", f"https://127.0.0.1:{free_port()}"), ("offline", access.url)):
            register_member(host, Access(name, url, access.ca_pem, access.token), place_of(1))
            stack.callback(unregister_member, host, name)
        host.merge(f"{SECRETS_PATH}/{secret_name('bare')}", {"data": {"token": None}})
        lost = {"type": "Offline", "status": "True", "reason": "ClusterNotReachable", "message": "the line is cut"}
        host.merge(f"{KUBEFED_PATH}/offline/status", {"status": {"conditions": [lost]}})
        async with opened(real_fleet, nats_server, tmp_path, WATCHES, WRITES, FOLLOWS) as replicas:

            async def are_alike() -> bool:
                answers = [await replica.server.ask(replica.token, CLUSTERS) for replica in replicas]
                found[:] = [MOMENTARY.sub("", json.dumps(answer)) for answer in answers]
                return found[0] == found[1] == found[2]

            await until(are_alike, what="the same answer", every=0.2)
            told = {each["name"]: each for each in json.loads(found[0])["data"]["clusters"]}
            assert {name for name, each in told.items() if each["health"] != "READY"} == {"bare", "dead", "offline"}
            assert "the line is cut" in told["offline"]["message"]
            host.merge(f"{SECRETS_PATH}/{secret_name('bare')}", {"stringData": {"token": access.token}})
            host.merge(f"{KUBEFED_PATH}/offline/status", {"status": build_healthy_status(place_of(1))})

            async def are_mended() -> bool:
                alike, told = await are_alike(), json.loads(found[0])["data"]["clusters"]
                return alike and [each["name"] for each in told if each["health"] != "READY"] == ["dead"]

            await until(are_mended, what="that all can be had but one", every=0.2)
            assert found[0].count('"state": "OK"') == 2 * len(told) - 2
