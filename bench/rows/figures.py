"""What counting costs an operation, beside the library that could do it; and what a scrape of many members holds up."""

import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from prometheus_client import CollectorRegistry, Counter, Histogram

from bench.row import Row, amount, build_row
from fleet.aio.counts import BOUNDS
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.members.member import FleetOptions, Member
from fleet.model.objects import ClusterRole
from fleet.ports import MemberSpec
from graph.figures import Operations
from server.asgi.requests import RequestCounts, Routes
from server.figures import cache, members
from server.figures.exposition import TEXT, write_exposition
from server.figures.figure import read_families

MEMBERS = 200
_TIMES = 20_000
_SCOPE = {"type": "http", "method": "POST", "path": "/graphql"}


class _Idle:
    """Fills nothing."""

    async def run(self, member: Member) -> NoReturn:
        raise NotImplementedError(member.name)


async def measure(rounds: int) -> list[Row]:
    ours, library = _build_own(), _build_library()
    own_us, library_us = [], []
    for _ in range(rounds):
        own_us.append(_time(ours) * 1e6)
        library_us.append(_time(library) * 1e6)
    longest, written = zip(*(_scrape(_build_members()) for _ in range(rounds)), strict=True)
    return [
        build_row(
            "figures: counting an operation over HTTP",
            "us",
            own_us,
            library_us,
            against="prometheus-client",
            goal=amount(10, "us"),
        ),
        build_row(
            f"figures: the longest hold of the event loop in a scrape, {MEMBERS} members",
            "ms",
            longest,
            goal=amount(10, "ms"),
        ),
        build_row(f"figures: writing a scrape in a thread, {MEMBERS} members", "ms", written, goal=amount(150, "ms")),
    ]


def _time(count: Callable[[], None]) -> float:
    """Seconds a call."""
    begun = time.perf_counter()
    for _ in range(_TIMES):
        count()
    return (time.perf_counter() - begun) / _TIMES


def _build_own() -> Callable[[], None]:
    requests, operations, routes = RequestCounts(), Operations(), Routes(["/graphql", "api", "apis", "clusters"])

    def count() -> None:
        operations.note("ok", time.perf_counter(), "Pods", 120)
        requests.note(routes.find("/graphql"), _SCOPE, 200, 0.004)

    return count


def _build_library() -> Callable[[], None]:
    registry = CollectorRegistry()
    requests = Counter("requests", "-", ("route", "method", "code"), registry=registry)
    durations = Histogram("durations", "-", ("route",), buckets=BOUNDS, registry=registry)
    operations = Counter("operations", "-", ("operation", "outcome"), registry=registry)
    took = Histogram("took", "-", ("operation",), buckets=BOUNDS, registry=registry)
    cost = Counter("cost", "-", registry=registry)

    def count() -> None:
        operations.labels("Pods", "ok").inc()
        took.labels("Pods").observe(0.004)
        cost.inc(120)
        requests.labels("/graphql", "POST", "200").inc()
        durations.labels("/graphql").observe(0.004)

    return count


def _build_members() -> list[Member]:
    found = []
    for number in range(MEMBERS):
        spec = MemberSpec(f"cluster{number}", ClusterRole.MEMBER, None)
        member = Member(spec, _Idle(), FleetOptions())
        connection = HttpConnection(member.name, Target("http://127.0.0.1:1"))
        connection.calls.note("ok", 0.02)
        member.connection = connection
        found.append(member)
    return found


def _scrape(found: Sequence[Member]) -> tuple[float, float]:
    """The longest family, and the writing of all; milliseconds."""
    families, longest = [], 0.0
    reading = read_families(members.FIGURES + cache.FIGURES, found)
    begun = time.perf_counter()
    for family in reading:
        longest = max(longest, time.perf_counter() - begun)
        families.append(family)
        begun = time.perf_counter()
    write_exposition(families, TEXT)
    return longest * 1e3, (time.perf_counter() - begun) * 1e3
