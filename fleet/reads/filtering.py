"""Finds what a filter selects in one member's stores, by the narrowest index."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Generic

from fleet.aio.turns import Steps, finish
from fleet.cache.store import Store
from fleet.model.kinds import ObjectKind
from fleet.model.objects import T
from fleet.model.ordered import DeferredSequence
from fleet.model.queries import Filter, Test
from fleet.model.rights import Verb
from fleet.model.visibility import Scope

PIECE = 4_096
"""Conditions that objects are held against at a stretch: about a millisecond's."""


class MemberFilter(Generic[T]):
    """A filter and a scope, read once and held against any number of members, or of single objects."""

    def __init__(self, kind: ObjectKind[T], wanted: Filter[T], scope: Scope, verb: Verb = "list") -> None:
        self._kind: ObjectKind[T] = kind
        self._wanted: Filter[T] = wanted
        self._scope = scope
        self._verb: Verb = verb
        self._tests: list[Test[T]] = wanted.build_tests()
        bounds = wanted.bounds()
        for field, value in wanted.fields.required_equal() if wanted.fields else ():
            for name, index in kind.indexes.items():
                if index.field == field and value:
                    bounds[name] = narrow(bounds[name], value)
        self._bounds = {name: values for name, values in bounds.items() if values is not None}

    def find(self, store: Store[T], cluster: str) -> Sequence[T]:
        """The objects of a member that the filter selects and the scope reaches, by namespace and name."""
        return finish(self.scan(store, cluster))

    def scan(self, store: Store[T], cluster: str) -> Steps[Sequence[T]]:
        """As `find`, of the objects that are there when it begins; it stops at times where the filter has a weight."""
        bounds, labels = self._bounds, self._wanted.labels
        kind, scope, verb = self._kind, self._scope, self._verb
        if not kind.cluster_wide and not scope.sees_all_namespaces(cluster, kind.name, verb):
            # Patterns are matched once a namespace, not once an object.
            known = bounds.get("namespace", store.values("namespace"))
            reached = frozenset(n for n in known if scope.sees_namespace(cluster, n, kind.name, verb))
            bounds = bounds | {"namespace": reached}
        candidates, covered = self._narrowest(store, bounds)
        tests = [*self._tests, *(self._build_test(name, bounds[name]) for name in bounds if name != covered)]
        if scope.granted is not None and kind.own_resource is not None:
            tests.append(lambda entry: kind.admits(scope, entry, verb))
        if covered == "labels":
            found = yield from _passing(candidates, tests, self._wanted.weight)
            return DeferredSequence(len(found), lambda: sorted(found, key=store.key_of))
        if labels is not None:
            tests.append(lambda entry: labels.matches(entry.labels))
        return (yield from _passing(candidates, tests, self._wanted.weight))

    def matches(self, entry: T) -> bool:
        """Whether one object is among those that `find` finds, of whichever cluster it is."""
        return all(test(entry) for test in self._all_tests)

    @cached_property
    def _all_tests(self) -> list[Test[T]]:
        kind, scope, verb = self._kind, self._scope, self._verb
        return [*self._wanted.build_all_tests(), lambda entry: kind.is_within(scope, entry, verb)]

    def _build_test(self, index: str, values: frozenset[str]) -> Test[T]:
        read: Callable[[T], str | None] = attrgetter(self._kind.indexes[index].attribute)
        return lambda entry: read(entry) in values

    def _narrowest(self, store: Store[T], bounds: Mapping[str, frozenset[str]]) -> tuple[Sequence[T], str]:
        """Objects among which all are that can be selected, and which part of the filter is answered by that already.

        They are in order, but for those that were found by their labels.
        """
        labels, name = self._wanted.labels, self._wanted.name
        named_one = None if name is None or self._kind.shares_names else name.eq
        if named_one is not None and (self._kind.cluster_wide or "namespace" in bounds):
            named = (store.get(namespace, named_one) for namespace in sorted(bounds.get("namespace", ("",))))
            return [entry for entry in named if entry is not None], "namespace"
        choices = [
            (sum(store.count(index, value) for value in values), index, values) for index, values in bounds.items()
        ]
        size, index, values = min(choices, key=lambda choice: choice[0], default=(len(store), "", frozenset[str]()))
        if labels is not None and (labelled := store.find_labelled(labels, fewer_than=size)) is not None:
            return labelled, "labels"
        if not index:
            return store.all(), index
        buckets = [store.select(index, value) for value in sorted(values)]
        if len(buckets) == 1:
            return buckets[0], index
        merged = [entry for bucket in buckets for entry in bucket]
        if index != "namespace":  # those of namespaces do not reach into each other
            merged.sort(key=store.key_of)
        return merged, index


def narrow(names: frozenset[str] | None, name: str) -> frozenset[str]:
    """The bound that lets one name through, where the given bound does."""
    return frozenset((name,)) if names is None or name in names else frozenset()


def _passing(candidates: Sequence[T], tests: Sequence[Test[T]], weight: int) -> Steps[Sequence[T]]:
    if not weight:
        return _sift(candidates, tests)
    passing: list[T] = []
    size = max(1, PIECE // weight)
    for start in range(0, len(candidates), size):
        passing += _sift(candidates[start : start + size], tests)
        yield
    return passing


def _sift(candidates: Sequence[T], tests: Iterable[Test[T]]) -> Sequence[T]:
    for test in tests:
        candidates = [record for record in candidates if test(record)]
    return candidates
