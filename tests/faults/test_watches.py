"""Watches that are silent, dropped, expired, doubled or out of order: answers go on, and are true by themselves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from realfleet.client import KubeClient
from realfleet.fleet import Fleet
from tests.fakes.http_faults import Watch
from tests.fakes.waiting import until
from tests.faults.serving import ILL, WELL, Served

pytestmark = pytest.mark.real

PODS = "/api/v1/namespaces/default/pods"
QUERY = """{ pods(first: 1000, filter: { clusters: ["cluster2"], name: { startsWith: "watched-" } }) {
  items { name labels { key value } } clusters { name state } } }"""
GONE = b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410}}\n'


async def silent(events: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    async for _ in events:
        yield []


async def dropped(events: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    async for event in events:
        yield [event[: len(event) // 2]]
        return


async def expired(_events: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    yield [GONE]


async def duplicated(events: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    async for event in events:
        yield [event, event]


async def reordered(events: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    held = b""
    async for event in events:
        if held:
            yield [event, held]
        held = b"" if held else event


ROWS: dict[str, Watch] = {
    "watch silent": silent,
    "watch dropped": dropped,
    "watch expired (410), again and again": expired,
    "events duplicated": duplicated,
    "events reordered": reordered,
}


def change_pods(client: KubeClient) -> dict[str, str]:
    """Makes, changes and removes pods; the turn of each that is left."""
    for number in range(4):
        metadata = {"name": f"watched-{number}", "labels": {"turn": "0"}}
        client.create(PODS, {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "none"}]}})
    for turn in range(1, 4):
        for number in range(4):
            client.merge(f"{PODS}/watched-{number}", {"metadata": {"labels": {"turn": str(turn)}}})
    client.delete(f"{PODS}/watched-0?gracePeriodSeconds=0")
    return {f"watched-{number}": "3" for number in range(1, 4)}


def remove_pods(client: KubeClient) -> None:
    for number in range(1, 4):
        client.delete(f"{PODS}/watched-{number}?gracePeriodSeconds=0")


@pytest.mark.parametrize("fault", ROWS)
async def test_what_watches_do_is_made_good(served: Served, real_fleet: Fleet, fault: str) -> None:
    client = real_fleet.cluster(ILL).client

    async def list_seen() -> tuple[str, dict[str, str]]:
        body: Any = await served.server.ask(served.token, QUERY)
        found = body["data"]["pods"]
        turns = {
            pod["name"]: label["value"] for pod in found["items"] for label in pod["labels"] if label["key"] == "turn"
        }
        return found["clusters"][0]["state"], turns

    async def is_true() -> bool:
        return await list_seen() == ("OK", truth)

    truth: dict[str, str] = {}
    await until(is_true, what="a member that is well", every=0.1)
    served.http.watch = ROWS[fault]
    served.http.cut()
    try:
        truth = await asyncio.to_thread(change_pods, client)
        for _ in range(10):
            states, owners, _ = await served.ask()
            assert (states[WELL], WELL in owners) == ("OK", True)
            assert states[ILL] in ("OK", "TIMEOUT", "UNREACHABLE")  # the last for a probe that was cut off as well
    finally:
        served.http.watch = None
        served.http.cut()
    try:
        await until(is_true, what="the truth", every=0.1)
    finally:
        await asyncio.to_thread(remove_pods, client)
