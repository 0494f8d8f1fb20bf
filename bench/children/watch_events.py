"""Follows one watch of pods and says what its events took. `python -m bench.children.watch_events ours|anchor URL N`.

Ours is a store kept by a reflector; the anchor is `kubernetes_asyncio.Watch` with its typed objects, kept in a dict.
"""

import asyncio
import sys
import time

import msgspec
import uvloop
from kubernetes_asyncio import client, watch
from msgspec import Struct

from fleet.cache.reflector import Reflector
from fleet.cache.store import build_store
from fleet.kubernetes.codec.codec import PODS
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model import kinds
from fleet.model.objects import Pod


class Followed(Struct):
    """Events that were applied, and the seconds of CPU from the first to the last: the machine may be shared."""

    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second of CPU."""
        return self.events / self.seconds


async def follow(url: str, events: int) -> Followed:
    """With everything that a server's watch does: decoded, compressed, indexed, in order."""
    store = build_store(kinds.PODS)
    done = asyncio.Event()
    times: list[float] = []

    def note(_old: Pod | None, _new: Pod | None) -> None:
        if not times:
            times.append(time.process_time())
        if len(store) == events:
            store.all()  # they are put into order when somebody reads them
            times.append(time.process_time())
            done.set()

    store.listen(note)
    connection = HttpConnection("bench", Target(url))
    following = asyncio.create_task(Reflector(connection, PODS, store, on_seen=lambda: None).run())
    try:
        async with asyncio.timeout(60):
            await done.wait()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await connection.close()
    return Followed(events - 1, times[-1] - times[0])


async def follow_by_library(url: str, events: int) -> Followed:
    """As the library's documentation does it."""
    kept = {}
    started = 0.0
    async with client.ApiClient(client.Configuration(host=url)) as api, watch.Watch() as stream:
        async for event in stream.stream(client.CoreV1Api(api).list_pod_for_all_namespaces, resource_version="1"):
            started = started or time.process_time()
            pod = event["object"]
            kept[pod.metadata.namespace, pod.metadata.name] = pod
            if len(kept) == events:
                break
    return Followed(events - 1, time.process_time() - started)


if __name__ == "__main__":
    run = follow if sys.argv[1] == "ours" else follow_by_library
    print(msgspec.json.encode(uvloop.run(run(sys.argv[2], int(sys.argv[3])))).decode())
