"""Objects of any kind as they change: what one subscriber may have of a kind's shared watches."""

import contextlib
from collections.abc import Callable, Collection
from functools import partial

from msgspec.structs import replace

from fleet.cache.rows import StoreKey
from fleet.kubernetes.discovery import Served
from fleet.live.changes import FeedListener, Unlisten
from fleet.live.watched_kinds import WatchedKind
from fleet.model.errors import ClusterError, ClusterForbidden, Forbidden, InvalidQuery, NotFound
from fleet.model.kube_objects import KubeObject
from fleet.model.objects import OnUnavailable, OutcomeState
from fleet.model.queries import PageRequest
from fleet.model.selectors import parse_label_selector, parse_object_field_selector
from fleet.model.told import tell
from fleet.model.visibility import Scope
from fleet.objects.calls import MemberCalls
from fleet.objects.lists import list_resources
from fleet.objects.pages import ResourceFilter, ResourceQuestion


async def check_followed(calls: MemberCalls, question: ResourceQuestion) -> "ResourceView":
    """The objects of a question, if it can be followed: asks each member for one of them, and for one of all.

    Raises as `list_resources`, ClusterForbidden where no member lets this server read all of the kind, and InvalidQuery
    for a field selector that only members could hold objects against.
    """
    one, scope = PageRequest(first=0), calls.scope
    outcomes = (await list_resources(calls, question, one, OnUnavailable.PARTIAL)).outcomes
    reached = [outcome.cluster for outcome in outcomes if outcome.state is not OutcomeState.FORBIDDEN]
    # The watch is of all namespaces, whichever of them the caller names or reaches.
    if question.filter.namespaces is not None or scope.granted or not all(map(scope.names_all_namespaces, reached)):
        everything = replace(question, filter=ResourceFilter(clusters=frozenset(reached)))
        outcomes = (await list_resources(calls.of_server(), everything, one, OnUnavailable.PARTIAL)).outcomes
    if outcomes and all(outcome.state is OutcomeState.FORBIDDEN for outcome in outcomes):
        raise ClusterForbidden(outcomes[0].cluster, tell("this can't be followed: {}", outcomes[0].message))
    await _check_watched(calls, question, [each.cluster for each in outcomes if each.state is OutcomeState.OK])
    return ResourceView(calls.federation.kinds.get(question.api_version, question.kind), calls, question.filter)


async def _check_watched(calls: MemberCalls, question: ResourceQuestion, clusters: list[str]) -> None:
    """Raises InvalidQuery where the kind is served by some of these, and watched by none."""
    served: list[Served] = []
    for cluster in clusters:  # which were just asked: what they serve is known
        with contextlib.suppress(ClusterError, NotFound):
            connection = calls.federation.get_connection(calls.scope, cluster)
            found = await calls.find(connection, question.api_version, question.kind)
            served += [] if found is None else [found]
    if served and not any("watch" in each.verbs for each in served):
        raise InvalidQuery(f"{question.kind} of {question.api_version} can't be followed: no cluster watches it")


class ResourceView:
    """The objects of a kind that a filter selects and a caller may see, now and as they change.

    Raises InvalidQuery where more there is than may be kept.
    """

    topic = "resources"
    recheck_seconds: float | None = None

    def __init__(self, watched: WatchedKind, calls: MemberCalls, wanted: ResourceFilter) -> None:
        federation, scope = calls.federation, calls.scope
        self._watched = watched
        self._feed = federation.feed
        self._wanted = self._feed.resolve(wanted, scope, partial(federation.own_name, scope))
        self._labels = parse_label_selector(wanted.label_selector) if wanted.label_selector else None
        self._fields = parse_object_field_selector(wanted.field_selector) if wanted.field_selector else None
        self._scope: Scope = scope
        self._check: Callable[[str, str, str], None] = calls.check
        self._seen: dict[tuple[str, str], bool] = {}

    @property
    def held_bytes(self) -> int:
        """What is kept of the kind in the clusters of these objects, whoever else follows it."""
        return self._watched.held_bytes(self._wants)

    def clusters(self) -> Collection[str]:
        return [name for name in self._watched.kinds.feed.clusters() if self._wants(name)]

    def listen(self, topic: str, listener: FeedListener) -> Unlisten:
        """Calls the listener after each change, until the returned function is called."""
        end = self._watched.listen(listener, self._wants)
        return self._feed.listen_labels(self._wanted, self._renew, listener, end)

    def _renew(self) -> bool:
        before, self._wanted = self._wanted, self._feed.resolve(self._wanted, self._scope)
        self._watched.match_all()
        return self._wanted != before

    def _wants(self, cluster: str) -> bool:
        asked = self._wanted.asked
        return (asked is None or cluster in asked) and self._scope.sees_cluster(cluster)

    def select(self, cluster: str) -> dict[StoreKey, KubeObject]:
        store = self._watched.store(cluster) if self._wants(cluster) else None
        if store is None:
            return {}
        return {(item.namespace, item.name): item for item in store if self._matches(item)}

    def get(self, cluster: str, key: StoreKey) -> KubeObject | None:
        """The object of that name, if it is one of these."""
        store = self._watched.store(cluster) if self._wants(cluster) else None
        item = None if store is None else store.get(*key)
        return item if item is not None and self._matches(item) else None

    def _matches(self, item: KubeObject) -> bool:
        return (
            (self._wanted.name is None or self._wanted.name.matches(item.name))
            and (self._labels is None or self._labels.matches(item.labels))
            and (self._fields is None or self._fields.matches(item))
            and self._sees(item.cluster, item.namespace)
        )

    def _sees(self, cluster: str, namespace: str) -> bool:
        known = self._seen.get((cluster, namespace))
        if known is None:
            served = self._watched.served(cluster)
            if served is None:  # it is about to be gone
                return False
            known = self._seen[cluster, namespace] = self._may_see(cluster, served, namespace)
        return known

    def _may_see(self, cluster: str, served: Served, namespace: str) -> bool:
        """As `resources` would list it: all of a cluster at once, or by namespace."""
        named = self._wanted.namespaces
        if named is not None and namespace not in named:
            return False
        scope, resource = self._scope, served.qualified
        at_once = not served.namespaced or (named is None and scope.sees_all_namespaces(cluster, resource, "watch"))
        if not (at_once or scope.sees_namespace(cluster, namespace, resource, "watch")):
            return False
        if scope.granted is not None and not scope.granted.allows(cluster, "watch", resource, namespace or None):
            return False
        try:
            self._check(cluster, served.path("" if at_once else namespace), "watch=true")
        except Forbidden:
            return False
        return True
