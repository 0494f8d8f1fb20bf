"""Questions about the events of all clusters, and their pages: newest first."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from functools import reduce

import msgspec
from msgspec import Struct

from fleet.model.errors import InvalidQuery
from fleet.model.kube_objects import Event
from fleet.model.objects import Outcome
from fleet.model.queries import MAX_PAGE, ClusterFilter, NameFilter, PageRequest
from fleet.model.rights import Verb
from fleet.model.visibility import Scope

_MAX_CURSOR = 2_000

Position = tuple[float, str, str, str]
"""When an event was last seen (Unix seconds, 0 where it does not say), its cluster, its namespace and its name."""


def position_of(event: Event) -> Position:
    """Where an event stands: of two the later one comes first."""
    return (event.last_seen or 0.0, event.regarding.cluster, event.namespace, event.name)


Test = Callable[[Event], bool]


class EventFilter(ClusterFilter, frozen=True):
    """Which events. None means no bound; an empty set matches nothing. `since` is in Unix seconds."""

    namespaces: frozenset[str] | None = None
    types: frozenset[str] | None = None
    reasons: frozenset[str] | None = None
    kind: str | None = None
    name: NameFilter | None = None
    since: float | None = None

    def build_test(self, scope: Scope, cluster: str, verb: Verb = "list") -> Test | None:
        """What an event of that cluster has to pass to be wanted and within reach, `since` aside; None for nothing."""
        types, reasons, kind, name, named = self.types, self.reasons, self.kind, self.name, self.namespaces
        tests: list[Test] = []
        if not scope.sees_cluster(cluster) or (self.asked is not None and cluster not in self.asked):
            tests.append(lambda event: False)
        if types is not None:
            tests.append(lambda event: event.type in types)
        if reasons is not None:
            tests.append(lambda event: event.reason in reasons)
        if kind is not None:
            tests.append(lambda event: event.regarding.kind == kind)
        if name is not None:
            tests.append(lambda event: name.matches(event.regarding.name))
        if named is not None or not scope.sees_all_namespaces(cluster, "events", verb):
            seen: dict[str, bool] = {}

            def is_in_reach(event: Event) -> bool:
                namespace = event.namespace
                if namespace not in seen:
                    seen[namespace] = (named is None or namespace in named) and scope.sees_namespace(
                        cluster, namespace, "events", verb
                    )
                return seen[namespace]

            tests.append(is_in_reach)
        return reduce(_both, tests) if tests else None


def _both(first: Test, second: Test) -> Test:
    return lambda event: first(event) and second(event)


class Retention(Struct, frozen=True):
    """What is kept of a cluster's events, as far as the caller reaches it.

    All that were last seen after `complete_since` (Unix seconds) are kept, without exception where it is None.
    `dropped` counts those that newer ones pushed out; None where not all of the cluster is within reach.
    """

    cluster: str
    kept: int
    dropped: int | None
    complete_since: float | None


class EventPage(Struct, frozen=True):
    """A page over all clusters that answered. `count` and `retention` are made when they are asked for."""

    events: Sequence[Event]
    has_next: bool
    has_previous: bool
    outcomes: Sequence[Outcome]
    count: Callable[[], Awaitable[int]]
    retention: Callable[[], Awaitable[list[Retention]]]


def build_event_cursor(event: Event) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position_of(event))).rstrip(b"=").decode()


def check_event_page(page: PageRequest) -> Position | None:
    """The place of the page's cursor. Raises InvalidQuery."""
    if not 0 <= page.first <= MAX_PAGE:
        raise InvalidQuery(f"first must be from 0 to {MAX_PAGE:,}, not {page.first:,}")
    if page.after is None:
        return None
    try:
        text = page.after if len(page.after) <= _MAX_CURSOR else ""
        body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place: Position = msgspec.json.decode(body, type=Position)
    except (binascii.Error, ValueError) as error:
        raise InvalidQuery("the cursor is not one that this server gave out") from error
    return place
