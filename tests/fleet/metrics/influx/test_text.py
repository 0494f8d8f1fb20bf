"""InfluxQL statements: constant text, every value bound."""

import re

import pytest

from fleet.metrics.influx.influxql_text import MOST_NAMED_LATEST, build_latest, build_points, build_range
from fleet.metrics.influx.layout import FIELDS, LAYOUTS, Query
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, Kind, Measure

PODS, NODES = LAYOUTS[Kind.POD], LAYOUTS[Kind.NODE]
WORDS = {"SELECT", "FROM", "WHERE", "AND", "OR", "GROUP", "BY", "ORDER", "DESC", "LIMIT", "time"}
CONSTANTS = WORDS | set(FIELDS.values()) | {"Pods", "Nodes", "cluster", "namespace", "pod", "node"}


def statements(name: str) -> list[Query]:
    pod, node = PodKey(name, name, name), NodeKey(name, name)
    many = [PodKey(name, name, f"{name}{i}") for i in range(MOST_NAMED_LATEST + 1)]
    return [
        build_latest(PODS, [pod], ALL_MEASURES, since_ns=1, newest=2),
        build_latest(PODS, many, ALL_MEASURES, since_ns=1, newest=1),
        build_range(NODES, [node], {Measure.CPU_CORES}, start_ns=1, end_ns=2),
        build_points(PODS, pod, start_ns=1, end_ns=2, limit=3),
        build_points(NODES, node, start_ns=None, end_ns=None, limit=1),
    ]


@pytest.mark.parametrize("name", ["web", "'; DROP MEASUREMENT Pods", '{"regex": ".*"}', "$v0", "포드"])
def test_text_holds_constants_and_names_of_parameters_only(name: str) -> None:
    for statement in statements(name):
        words = set(re.findall(r"\w+", re.sub(r"\$v\d+", "", statement.text)))
        assert words <= CONSTANTS
        assert set(re.findall(r"\$(v\d+)", statement.text)) == set(statement.params)
        assert all(type(value) in (str, int) for value in statement.params.values())


def test_only_fields_asked_for_are_chosen_and_the_two_that_mark_a_point() -> None:
    asked = build_latest(PODS, [PodKey("c", "n", "p")], {Measure.FS_USED_BYTES}, since_ns=1, newest=1)
    assert asked.text.startswith("SELECT CPUUsageNanoCores,FsUsedBytes,MemoryWorkingSetBytes FROM Pods ")


def test_a_few_objects_are_named_and_many_are_narrowed_to_their_namespaces() -> None:
    few = build_latest(PODS, [PodKey("c", "n", str(i)) for i in range(100)], set(), since_ns=1, newest=1)
    many = build_latest(PODS, [PodKey("c", f"n{i % 3}", str(i)) for i in range(5000)], set(), since_ns=1, newest=1)
    wide = build_latest(PODS, [PodKey("c", str(i), "p") for i in range(5000)], set(), since_ns=1, newest=1)
    assert len(few.params) == 2 + 100 + 2
    assert sorted(map(str, many.params.values())) == ["1", "1", "c", "n0", "n1", "n2"]
    assert sorted(map(str, wide.params.values())) == ["1", "1", "c"]
