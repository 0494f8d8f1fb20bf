"""Finds objects of all cached kinds by a text, best matches first, in pieces that let others have their turn."""

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.aio.turns import Pace, Turns
from fleet.cache.rows import StoreKey
from fleet.cache.store import Store
from fleet.cache.stores import Stores
from fleet.model.kinds import WORKLOADS, ResourceName
from fleet.model.objects import Cluster
from fleet.model.search import RANKS, Hit, SearchKind, SearchText
from fleet.model.visibility import Scope
from fleet.reads.search_parts import FewObjects, ManyObjects

_STORES: Mapping[SearchKind, ResourceName] = {
    SearchKind.NAMESPACE: "namespaces",
    SearchKind.NODE: "nodes",
    SearchKind.WORKLOAD: "workloads",
    SearchKind.POD: "pods",
}


async def search(
    text: SearchText,
    kinds: frozenset[SearchKind],
    first: int,
    scope: Scope,
    clusters: Sequence[Cluster],
    stores: Mapping[str, Stores],
    turns: Turns,
) -> tuple[list[Hit], bool]:
    """The first hits, and whether there are more. `clusters` and `stores` are those in reach, by name.

    Names come before all else, then better matches, then kinds, then clusters, namespaces and names. What is found well
    enough by names is not looked for elsewhere. Nothing is in it that is gone by the end.
    """
    parts = await _build_parts(text, kinds, first, scope, clusters, stores, Pace(turns))
    found: dict[tuple[SearchKind, str, str, str], Hit] = {}
    for named in (True, False):
        matching: list[FewObjects | ManyObjects] = []
        for rank in RANKS:
            for part in tuple(matching) if rank else parts:
                if not rank:  # what the best matches of earlier parts fill the answer with needs no look at later ones
                    if not await part.prepare(named=named):
                        continue
                    matching.append(part)
                for hit in await part.find(rank, named=named):
                    found.setdefault((hit.kind, hit.cluster, *_key_of(hit, stores)), hit)
                if len(found) > first:
                    return [hit for hit in found.values() if _is_there(hit, stores)][:first], True
    return [hit for hit in found.values() if _is_there(hit, stores)], False


async def _build_parts(
    text: SearchText,
    kinds: frozenset[SearchKind],
    first: int,
    scope: Scope,
    clusters: Sequence[Cluster],
    stores: Mapping[str, Stores],
    pace: Pace,
) -> list[FewObjects | ManyObjects]:
    parts: list[FewObjects | ManyObjects] = []
    if SearchKind.CLUSTER in kinds:
        parts.append(FewObjects(text, pace, SearchKind.CLUSTER, clusters))
    if SearchKind.NAMESPACE in kinds:
        for name, kept in stores.items():
            seen = [entry for entry in kept.namespaces if scope.sees_namespace(name, entry.name, "namespaces")]
            parts.append(FewObjects(text, pace, SearchKind.NAMESPACE, seen))
            await pace.wait()
    if SearchKind.NODE in kinds:
        whole = [kept for name, kept in stores.items() if scope.sees_all_namespaces(name, "nodes")]
        parts += [FewObjects(text, pace, SearchKind.NODE, kept.nodes.all()) for kept in whole]
    for kind in (SearchKind.WORKLOAD, SearchKind.POD):
        for name, kept in stores.items() if kind in kinds else ():
            if kind is SearchKind.WORKLOAD:
                await pace.walk(kept.marked_workloads.settling())
            store: Store[Any] = kept.named(_STORES[kind])
            visible = _visible(scope, name, _STORES[kind], store)
            part = ManyObjects(text, pace, first + 1, kind, store, visible)
            if kind is SearchKind.WORKLOAD and scope.granted is not None:
                part.admits = lambda workload: WORKLOADS.admits(scope, workload, "list")
            parts.append(part)
            await pace.wait()
    return parts


def _visible(scope: Scope, cluster: str, resource: ResourceName, store: Store[Any]) -> frozenset[str] | None:
    """The namespaces within reach, None for all."""
    if scope.sees_all_namespaces(cluster, resource):
        return None
    return frozenset(name for name in store.values("namespace") if scope.sees_namespace(cluster, name, resource))


def _key_of(hit: Hit, stores: Mapping[str, Stores]) -> StoreKey:
    """Its key in its store; a cluster has none."""
    if hit.kind is SearchKind.CLUSTER:
        return "", hit.cluster
    key: StoreKey = stores[hit.cluster].named(_STORES[hit.kind]).key_of(hit.entry)
    return key


def _is_there(hit: Hit, stores: Mapping[str, Stores]) -> bool:
    """Whether the store has an object of that key still; a cluster was there when the search began."""
    if hit.kind is SearchKind.CLUSTER:
        return True
    return stores[hit.cluster].named(_STORES[hit.kind]).get(*_key_of(hit, stores)) is not None
