"""All figures of this process, from what it has open."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from prometheus_client.core import Metric

from fleet.members.member import Member
from graph.figures import OPERATIONS
from graph.subscriptions.hub import Hub
from server.figures import cache, graph, members, process, state, stores
from server.figures.figure import Figure, read_families
from server.lifespan import State

ROOMS: dict[str, tuple[Figure[Any], ...]] = {
    "Clusters": members.FIGURES + cache.FIGURES,
    "Requests": process.REQUESTS + process.SIGN_INS,
    "Operations of the graph": graph.OPERATIONS + graph.ADMISSION + graph.LIVE,
    "Metric store": stores.ASKED + stores.WATCHED + stores.COLLECTED + stores.FILE,
    "Process": process.ALWAYS + process.LOOP + process.SERVING + process.SPANS + process.AUDIT,
    "Replicas with a shared state": state.FIGURES,
}
"""Every figure there may be, by what it is of, as the reference has them."""


def collect_own(held: State, serving: process.Serving | None = None) -> Iterator[Metric]:
    """One family at a time, each from what it is of at that moment; those of what is not open are missing."""
    hub: Hub = held["live"]
    everybody: Sequence[Member] = held["federation"].members
    parts: list[Iterable[Metric]] = [
        read_families(process.ALWAYS, None),
        read_families(members.FIGURES + cache.FIGURES, everybody),
        read_families(process.SIGN_INS, held["authenticator"]),
        read_families(graph.OPERATIONS, OPERATIONS),
        read_families(graph.ADMISSION, hub.grounds.admission),
        read_families(graph.LIVE, hub),
        read_families(stores.ASKED, None),
        read_families(stores.COLLECTED, held.get("outputs", ())),
    ]
    if (counts := held.get("counts")) is not None:
        parts += [read_families(process.REQUESTS, counts.requests), read_families(process.LOOP, counts)]
    if serving is not None:
        parts.append(read_families(process.SERVING, serving))
    if (spans := held.get("spans")) is not None:
        parts.append(read_families(process.SPANS, spans))
    if (watch := held.get("store_watch")) is not None:
        parts.append(read_families(stores.WATCHED, watch))
    if (replica := held.get("replica")) is not None:
        shared = state.Shared(replica.nats.is_connected, tuple(replica.figures()))
        parts.append(read_families(state.FIGURES, shared))
    if (file := stores.find_file(held.get("metric_file"))) is not None:
        parts.append(read_families(stores.FILE, file))
    if (audit := held.get("audit")) is not None:
        parts.append(read_families(process.AUDIT, audit))
    return chain.from_iterable(parts)
