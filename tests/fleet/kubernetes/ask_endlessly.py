"""Asks the server of the first argument for eight lists at once; prints what came of it and how much memory it took.

In a process of its own, since the largest size of a process never falls again.
"""

import asyncio
import resource
import sys
from collections import Counter

from fleet.kubernetes.connection import HttpConnection, Target
from fleet.metrics.influx.opening import open_influx_store
from fleet.metrics.influx.options import Dialect, InfluxOptions
from fleet.model.errors import FleetError
from fleet.model.objects import PodKey
from fleet.model.usage import Kind, Measure
from fleet.ports import LIST_BYTES, Call

AT_ONCE = 8
_KEYS = frozenset({PodKey("c1", "shop", "p")})


def measure_largest() -> int:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def ask_member(url: str) -> list[object]:
    connection = HttpConnection("c1", Target(url))
    calls = (Call("GET", f"/{number}", 60, most_bytes=LIST_BYTES) for number in range(AT_ONCE))
    answers = await asyncio.gather(*map(connection.request, calls), return_exceptions=True)
    await connection.close()
    return list(answers)


async def ask_metrics(url: str) -> list[object]:
    options = InfluxOptions(url, dialect=Dialect.INFLUXQL, timeout=60.0, connections=AT_ONCE)
    async with open_influx_store(options) as store:
        measures = (frozenset({measure}) for measure in list(Measure)[:AT_ONCE])
        asked = (store.latest(Kind.POD, _KEYS, wanted) for wanted in measures)
        return list(await asyncio.gather(*asked, return_exceptions=True))


async def main(what: str, url: str) -> None:
    ask = {"member": ask_member, "metrics": ask_metrics}[what]
    before = measure_largest()
    answers = await ask(url)
    unexpected = [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, FleetError)]
    if unexpected:
        raise unexpected[0]
    print(measure_largest() - before, *Counter(type(answer).__name__ for answer in answers))


asyncio.run(main(*sys.argv[1:]))
