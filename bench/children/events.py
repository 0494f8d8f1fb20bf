"""Lists a member's events through the reflector into a ring, and says what that cost this process.

`python -m bench.children.events LISTED KEPT` writes one line of JSON: seconds until the list is in, rss_bytes by which
its resident memory grew.
"""

import asyncio
import gc
import sys
import time
from urllib.parse import parse_qs

import orjson
import uvloop
from msgspec import Struct

from bench.children.load_cache import read_rss
from bench.memory_fleet import MemoryConnection
from fleet.aio.tasks import open_task
from fleet.cache.event_ring import EventRing
from fleet.cache.reflector import Reflector
from fleet.kubernetes.codec.codec import EVENTS
from fleet.ports import Answer, Call

_EVENT = (
    '{"metadata":{"name":"web-%06d-7d9c5f7d4b-x2x%05d.17f3c2a1%08x","namespace":"shop-%d","uid":"%08d-1111-2222-3333-444"'
    ',"resourceVersion":"%d","creationTimestamp":"2026-11-30T10:00:00Z"},"involvedObject":{"kind":"Pod","namespace":'
    '"shop-%d","name":"web-%06d-7d9c5f7d4b-x2x%05d","uid":"%08d-5555-6666-7777-888","apiVersion":"v1","resourceVersion":'
    '"%d"},"reason":"Started","message":"Started container web-%d of the image registry.example.org/shop/web:1.27.%d",'
    '"source":{"component":"kubelet","host":"n1"},"firstTimestamp":"2026-11-30T10:00:00Z","lastTimestamp":'
    '"2026-11-30T%02d:%02d:%02dZ","count":1,"type":"Normal","eventTime":null,"reportingComponent":"kubelet"}'
)


class Cost(Struct, frozen=True):
    """What it cost to list them."""

    seconds: float
    rss_bytes: int


def build_event(number: int) -> str:
    time_of_day = number * 7919 % 86_400  # listed in the order of names, which is not that of times
    clock = (time_of_day // 3600, time_of_day // 60 % 60, time_of_day % 60)
    space = number % 20
    parts = (number, number, number, space, number, number, space, number, number, number, number, number, number)
    return _EVENT % (*parts, *clock)


class _Events(MemoryConnection):
    """A member whose events are all that is asked for."""

    def __init__(self, listed: int) -> None:
        super().__init__(0, 0, 0)
        self._listed = listed

    async def request(self, call: Call) -> Answer:
        asked = parse_qs(call.query)
        start, size = int(asked.get("continue", ["0"])[0]), int(asked["limit"][0])
        end = min(start + size, self._listed)
        following = end if end < self._listed else ""
        items = ",".join(map(build_event, range(start, end)))
        head = f'{{"kind":"EventList","metadata":{{"resourceVersion":"9","continue":"{following}"}},"items":['
        return Answer(200, {}, f"{head}{items}]}}".encode())


async def measure(listed: int, kept: int) -> Cost:
    ring, done = EventRing(kept), asyncio.Event()
    connection = _Events(listed)
    reflector = Reflector(connection, EVENTS, ring, on_seen=lambda: None)
    ring.listen(lambda _: done.set())
    gc.collect()
    rss, started = read_rss(), time.perf_counter()
    async with open_task("events", reflector.run):
        await done.wait()
        seconds = time.perf_counter() - started
        gc.collect()
        return Cost(seconds, read_rss() - rss)


if __name__ == "__main__":
    cost = uvloop.run(measure(int(sys.argv[1]), int(sys.argv[2])))
    print(orjson.dumps({"seconds": cost.seconds, "rss_bytes": cost.rss_bytes}).decode())
