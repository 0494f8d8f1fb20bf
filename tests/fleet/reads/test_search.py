"""A search finds what a plain look at every value of every object finds, in the same order."""

import asyncio
import random
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest
from msgspec.structs import replace

from fleet.aio.turns import Turns
from fleet.cache.stores import Stores
from fleet.model.errors import InvalidQuery
from fleet.model.objects import Cluster, ClusterHealth, ClusterRole, Namespace, NodeAddress, PlatformInfo
from fleet.model.search import RANKS, Hit, SearchKind, SearchText
from fleet.model.visibility import Role, Scope
from fleet.model.workloads import Workload
from fleet.reads.search import search
from fleet.reads.search_parts import PIECE
from tests.fakes.records import build_node_record, build_pod_record, build_workload_record

PARTS = ("web", "db", "a", "ab", "b", "10", "shop", "x-web", "Web")
TEXTS = (*PARTS, "we", "e", "web-", "WEB", "app=web", "=a", "10.0", "10.0.0.1", "0.0", "reg", "nowhere", "gpu")
SCOPES = (
    Scope(Role.VIEW),
    Scope(Role.VIEW, namespaces=("a*", "shop")),
    Scope(Role.VIEW, clusters=("ab",)),
    Scope(Role.VIEW, namespaces=("none",)),
)
FIRST = (0, 1, 3, 10, 100)


def build_fleet(rng: random.Random, most: int) -> tuple[list[Cluster], dict[str, Stores]]:
    def name() -> str:
        return "-".join(rng.choices((*PARTS[:-1], str(rng.randint(0, most))), k=rng.randint(1, 4)))

    clusters, fleet = [], {}
    for cluster in ("ab", "web"):
        clusters.append(
            Cluster(
                name=cluster,
                role=ClusterRole.MEMBER,
                health=ClusterHealth.READY,
                message=None,
                version=None,
                info=PlatformInfo(),
                age_seconds=None,
                other_names=(f"Other/{name()}",),
            )
        )
        stores = fleet[cluster] = Stores()
        for _ in range(rng.randint(most // 2, most)):
            labels = rng.choice(((), (("app", rng.choice(PARTS)),), (("app", "b"), ("gpu", ""))))
            pod = build_pod_record(
                cluster, rng.choice(PARTS[:-1]), name(), node=rng.choice((None, name())), labels=labels
            )
            images = tuple(f"reg/{rng.choice(PARTS)}:{rng.choice(PARTS)}" for _ in range(rng.randint(1, 2)))
            address = rng.choice((None, f"10.0.0.{rng.randint(1, 12)}"))
            stores.pods.put(replace(pod, images=images, pod_ip=address))
        for _ in range(rng.randint(most // 4, most // 2)):
            kind = rng.choice(("Deployment", "StatefulSet"))
            workload = build_workload_record(cluster, rng.choice(PARTS[:-1]), name(), kind)
            labels = rng.choice(((), (("app", rng.choice(PARTS)),)))
            stores.workloads.put(replace(workload, labels=labels, images=(f"reg/{rng.choice(PARTS)}",)))
        for _ in range(rng.randint(0, 5)):
            node = build_node_record(cluster, name())
            stores.nodes.put(replace(node, addresses=(NodeAddress("InternalIP", "10.0.0.1"),), labels=(("gpu", ""),)))
        for space in rng.sample(PARTS, 3):
            stores.namespaces.put(
                Namespace(
                    cluster=cluster,
                    name=space,
                    uid="u",
                    resource_version="1",
                    phase="Active",
                    created_at=0.0,
                    labels=(("team", rng.choice(PARTS)),),
                )
            )
    return clusters, fleet


def values_of(kind: SearchKind, entry: Any) -> Iterator[tuple[int, str]]:
    """0 and each name, 1 and each other value."""
    yield 0, entry.name
    if kind is SearchKind.CLUSTER:
        yield from ((0, name) for name in entry.other_names)
        return
    for key, value in entry.labels:
        yield 1, f"label {key}={value}"
    if kind is SearchKind.NODE:
        yield from ((1, address.address) for address in entry.addresses)
    if kind in (SearchKind.WORKLOAD, SearchKind.POD):
        yield from ((1, value) for value in (entry.namespace, *entry.images))
    if kind is SearchKind.POD:
        yield 1, entry.node_name or ""
        if entry.pod_ip:
            yield 1, f"ip {entry.pod_ip}"


def look_everywhere(
    text: str, kinds: frozenset[SearchKind], scope: Scope, clusters: list[Cluster], fleet: dict[str, Stores]
) -> list[tuple[Any, ...]]:
    wanted = SearchText(text)

    def rank(value: str) -> int | None:
        what, _, rest = value.partition(" ")
        if what == "label":
            key, value = rest.split("=", 1)
            return wanted.rank_label((key, value))
        if what == "ip":
            return wanted.rank(rest) if wanted.may_be_address else None
        return wanted.rank(value)

    entries: list[tuple[SearchKind, str, str, Any]] = [
        (SearchKind.CLUSTER, one.name, "", one) for one in clusters if scope.sees_cluster(one.name)
    ]
    for cluster, stores in fleet.items():
        entries += [
            (SearchKind.NAMESPACE, cluster, "", entry)
            for entry in stores.namespaces
            if scope.sees_namespace(cluster, entry.name, "namespaces")
        ]
        if scope.sees_all_namespaces(cluster, "nodes"):
            entries += [(SearchKind.NODE, cluster, "", entry) for entry in stores.nodes]
        for kind, store in ((SearchKind.WORKLOAD, stores.workloads), (SearchKind.POD, stores.pods)):
            entries += [
                (kind, cluster, entry.namespace, entry)
                for entry in cast("Iterable[Any]", store)
                if scope.sees_namespace(cluster, entry.namespace, "pods")
            ]
    found = []
    for kind, cluster, namespace, entry in entries:
        best = min(
            ((stage, rank(value)) for stage, value in values_of(kind, entry) if rank(value) is not None), default=None
        )
        if best is not None and kind in kinds:
            found.append((*best, list(SearchKind).index(kind), cluster, namespace, name_in_store(entry)))
    return sorted(found)


def name_in_store(entry: Any) -> str:
    name: str = entry.entry if isinstance(entry, Workload) else entry.name
    return name


def as_found(hit: Hit) -> tuple[Any, ...]:
    return list(SearchKind).index(hit.kind), hit.cluster, hit.namespace or "", name_in_store(hit.entry)


@pytest.mark.parametrize("seed", range(40))
async def test_the_same_as_a_look_at_everything(seed: int) -> None:
    rng = random.Random(seed)
    clusters, fleet = build_fleet(rng, most=3 * PIECE if seed == 0 else 60)
    for text in TEXTS:
        scope, first = rng.choice(SCOPES), rng.choice(FIRST)
        kinds = frozenset(
            rng.choice(([*SearchKind], [*SearchKind], [SearchKind.POD], [SearchKind.WORKLOAD], [SearchKind.NODE], []))
        )
        reached = {name: stores for name, stores in fleet.items() if scope.sees_cluster(name)}
        seen = [one for one in clusters if scope.sees_cluster(one.name)]
        wanted = [entry[2:] for entry in look_everywhere(text, kinds, scope, clusters, reached)]

        hits, has_more = await search(SearchText(text), kinds, first, scope, seen, reached, Turns())

        assert [as_found(hit) for hit in hits] == wanted[:first], (text, scope, first)
        assert has_more is (len(wanted) > first)
        for hit in hits:
            assert SearchText(text).text in hit.value.lower()


async def test_what_goes_while_it_is_searched_for_is_not_found() -> None:
    stores = Stores()
    for number in range(20_000):
        stores.pods.put(build_pod_record("c", "n", f"web-{number:05d}"))
    started = asyncio.create_task(
        search(SearchText("web"), frozenset(SearchKind), 5, Scope(Role.VIEW), [], {"c": stores}, Turns())
    )
    await asyncio.sleep(0)
    assert not started.done()  # it takes more than a slice
    stores.pods.drop(("n", "web-00001"))
    hits, has_more = await started
    assert [hit.entry.name for hit in hits] == ["web-00000", *(f"web-{number:05d}" for number in range(2, 6))]
    assert has_more


@pytest.mark.parametrize(
    ("value", "rank"),
    [("web", 0), ("web-1", 1), ("my-web", 2), ("my.webs", 2), ("a/web", 2), ("cobweb", 3), ("we", None)],
)
def test_how_well_a_value_matches(value: str, rank: int | None) -> None:
    assert SearchText(" Web ").rank(value) == rank
    assert rank in (None, *RANKS)


@pytest.mark.parametrize("text", ["", "  ", "x" * 257])
def test_a_text_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery, match="1 to 256"):
        SearchText(text)
