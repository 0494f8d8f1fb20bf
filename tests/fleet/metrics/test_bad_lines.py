"""A metric store behind a bad line: refused in time, naming the store; then well by itself."""

import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Kind, Point
from fleet.ports import MetricStore
from tests.fakes.faults import Faults, open_proxy
from tests.fakes.http_faults import ANSWERS, HttpFaults, open_http_faults
from tests.fakes.waiting import until
from tests.fleet.metrics.stores import FilledInflux, reopen
from tests.server.test_serve import write_certificate

pytestmark = pytest.mark.real

TIMEOUT = 1.0
ANSWERED_WITHIN = 5 * TIMEOUT
"""A test machine is busy: without other work it takes the timeout."""

WEB = PodKey("cluster1", "default", "web-0")
LINES: dict[str, Callable[[Faults], None]] = {
    "refused": lambda line: setattr(line, "refusing", True),
    "black hole": lambda line: setattr(line, "black_hole", True),
    "reset": lambda line: setattr(line, "resetting", True),
}
ELSEWHERE = ("name that does not resolve", "certificate of another authority")
FAULTS = (*LINES, *ANSWERS, *ELSEWHERE)


@dataclass(frozen=True)
class Reached:
    """A store, and what can be made of the line to it."""

    store: MetricStore
    line: Faults
    http: HttpFaults

    async def ask(self) -> bool:
        found = await self.store.latest(Kind.POD, frozenset({WEB}), ALL_MEASURES)
        return found[WEB].cpu_cores == 1.0


@pytest.fixture
async def reached(any_influx: FilledInflux) -> AsyncIterator[Reached]:
    await any_influx.write([(WEB, Point(time_ns=time.time_ns() - NANOSECONDS, cpu_cores=1.0, memory_bytes=1))])
    async with (
        open_http_faults(any_influx.options.url) as (http_url, http),
        open_proxy(http_url) as (url, line),
        reopen(any_influx, url=url, timeout=TIMEOUT) as store,
    ):
        yield Reached(store, line, http)


@pytest.mark.parametrize("fault", [*LINES, *ANSWERS])
async def test_a_bad_line_costs_usage_alone_and_for_its_time(reached: Reached, fault: str) -> None:
    assert await reached.ask()
    if fault in LINES:
        LINES[fault](reached.line)
    else:
        reached.http.answer(ANSWERS[fault])
    reached.line.reset()
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(MetricsUnavailable, match="InfluxDB"):
            await reached.ask()
        assert time.monotonic() - began < ANSWERED_WITHIN
    reached.line.refusing = reached.line.resetting = reached.line.black_hole = False
    reached.http.answer(None)
    reached.line.reset()

    async def is_well() -> bool:
        try:
            return await reached.ask()
        except MetricsUnavailable:
            return False

    await until(is_well, what="recovery", every=0.1)


@pytest.mark.parametrize("fault", ELSEWHERE)
async def test_who_is_not_the_store_is_told_from_it(any_influx: FilledInflux, tmp_path: Path, fault: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*write_certificate(tmp_path))
    async with open_http_faults(any_influx.options.url, tls=tls) as (foreign, _):
        url = "http://influx.invalid:8086" if fault == ELSEWHERE[0] else foreign
        async with reopen(any_influx, url=url, timeout=TIMEOUT) as store:
            began = time.monotonic()
            with pytest.raises(MetricsUnavailable, match="InfluxDB"):
                await store.latest(Kind.POD, frozenset({WEB}), ALL_MEASURES)
            assert time.monotonic() - began < ANSWERED_WITHIN
