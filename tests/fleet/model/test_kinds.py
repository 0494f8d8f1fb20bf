"""What every kind of cached objects has to say of itself."""

from typing import Any

import pytest

from fleet.cache.stores import Stores
from fleet.model.kinds import KINDS, NODES, PODS, WORKLOADS, ObjectKind
from fleet.model.objects import NodeKey, PodKey
from fleet.model.queries import Filter, NodeFilter, PodFilter, WorkloadFilter
from fleet.model.visibility import Role, Scope
from tests.fakes.records import build_node_record, build_pod_record, build_workload_record

CASES: list[tuple[ObjectKind[Any], Filter[Any], Any]] = [
    (PODS, PodFilter(), build_pod_record("c1", "shop", "p1")),
    (NODES, NodeFilter(), build_node_record("c1", "n1")),
    (WORKLOADS, WorkloadFilter(), build_workload_record("c1", "shop", "web")),
]


def test_no_kind_is_left_out_here() -> None:
    assert [kind for kind, _, _ in CASES] == list(KINDS)


@pytest.mark.parametrize(("kind", "wanted", "record"), CASES, ids=[kind.name for kind in KINDS])
def test_a_kind_fits_its_store_its_filter_and_its_records(
    kind: ObjectKind[Any], wanted: Filter[Any], record: Any
) -> None:
    store = Stores().of(kind)
    store.put(record)
    assert store.get(record.key.namespace, record.key.entry) is record
    assert wanted.bounds().keys() == kind.indexes.keys()
    assert all(hasattr(record, name) for name in kind.bases.values())
    assert all(isinstance(read(record), str | int | float | None) for read in kind.columns.values())
    assert all(store.values(name) is not None for name in kind.indexes)


def test_only_who_reaches_all_namespaces_sees_what_is_cluster_wide() -> None:
    shop, everything = Scope(Role.VIEW, namespaces=("shop",)), Scope(Role.VIEW)
    near, far, node = PodKey("c1", "shop", "a"), PodKey("c1", "ops", "a"), NodeKey("c1", "n1")
    assert (PODS.is_within(shop, near, "list"), PODS.is_within(shop, far, "list")) == (True, False)
    assert (NODES.is_within(shop, node, "list"), NODES.is_within(everything, node, "list")) == (False, True)
