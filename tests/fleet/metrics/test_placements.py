"""Where pods ran, from every metric store."""

import pytest

from fleet.model.objects import NodeKey, PodKey
from fleet.model.placements import Placement
from fleet.model.usage import Point
from tests.fleet.metrics.stores import Filled
from tests.fleet.metrics.test_contract import HOSTILE_NAMES, WEB, ago

N1, N2 = NodeKey("cluster1", "n1"), NodeKey("cluster1", "n2")
Run = tuple[str, list[float]]


def points(node: str, seconds: list[float]) -> list[Point]:
    return [Point(time_ns=ago(second), cpu_cores=0.1, memory_bytes=1, node=node) for second in seconds]


async def place(filled: Filled, pod: PodKey, *runs: Run) -> None:
    await filled.write([(pod, point) for node, seconds in runs for point in points(node, seconds)])


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([("n1", [900, 600, 300])], [("n1", 900, 300)]),
        ([("n1", [901, 600])], [("n1", 901, 901), ("n1", 600, 600)]),
        ([("n1", [120, 110]), ("n2", [100, 90])], [("n1", 120, 110), ("n2", 100, 90)]),
        ([("n1", [120, 60]), ("n2", [90])], [("n1", 120, 120), ("n2", 90, 90), ("n1", 60, 60)]),
        ([("n1", [5000, 1000])], [("n1", 1000, 1000)]),
        ([("n1", [10])], []),
    ],
    ids=["one run", "a gap", "a move", "there and back", "before the span", "after the span"],
)
async def test_a_pods_placements_are_its_runs(
    filled: Filled, runs: list[Run], expected: list[tuple[str, float, float]]
) -> None:
    await place(filled, WEB, *runs)
    await place(filled, PodKey("cluster1", "default", "other"), ("n1", [60]))
    found = await filled.store.placements(frozenset({WEB}), start_ns=ago(1000), end_ns=ago(20))
    assert found == {WEB: [Placement(WEB, node, ago(since), ago(until)) for node, since, until in expected]}


@pytest.mark.parametrize(
    ("seconds", "there"),
    [
        ([600, 590], True),
        ([610, 400], True),
        ([660], True),
        ([661], False),
        ([599], False),
        ([890, 300], False),
    ],
    ids=["at it", "around it", "a minute before", "longer before", "after it", "too far around it"],
)
async def test_a_pod_is_on_a_node_at_a_time(filled: Filled, seconds: list[float], there: bool) -> None:
    await place(filled, WEB, ("n1", seconds))
    await place(filled, PodKey("cluster2", "default", "web-0"), ("n1", [600]))
    found = await filled.store.pods_on_nodes(frozenset({N1, N2}), ago(600))
    assert [placement.pod for placement in found[N1]] == ([WEB] if there else [])
    assert found[N2] == []


@pytest.mark.parametrize(
    ("runs", "at", "expected"),
    [
        ([("n1", [622, 617, 612]), ("n2", [607, 602, 597])], 600, ("n2", 607, 597)),
        ([("n1", [622, 617, 612]), ("n2", [607, 602, 597])], 610, ("n1", 622, 612)),
        ([("n1", [650, 640, 560, 550]), ("n2", [620, 610])], 615, ("n2", 620, 610)),
        ([("n1", [650, 640, 560, 550]), ("n2", [620, 610])], 645, ("n1", 650, 640)),
        ([("n1", [650, 640, 560, 550]), ("n2", [620, 610])], 555, ("n1", 560, 550)),
        ([("n1", [650, 640, 560, 550]), ("n2", [620, 610])], 600, ("n2", 620, 610)),
        ([("n1", [610]), ("n3", [605])], 600, None),
    ],
    ids=["moved", "before it moved", "away", "before", "back", "on its way back", "moved to a node not asked for"],
)
async def test_a_pod_is_at_one_place_at_a_time(
    filled: Filled, runs: list[Run], at: float, expected: tuple[str, float, float] | None
) -> None:
    await place(filled, WEB, *runs)
    found = await filled.store.pods_on_nodes(frozenset({N1, N2}), ago(at))
    placed = {key.name: [(run.since_ns, run.until_ns) for run in there] for key, there in found.items()}
    wanted: dict[str, list[tuple[int, int]]] = {"n1": [], "n2": []}
    if expected is not None:
        wanted[expected[0]].append((ago(expected[1]), ago(expected[2])))
    assert placed == wanted


async def test_one_node_is_asked_about_and_a_pod_has_left_it(filled: Filled) -> None:
    await place(filled, WEB, ("n1", [610]), ("n2", [605]))
    assert await filled.store.pods_on_nodes(frozenset({N1}), ago(600)) == {N1: []}


async def test_all_nodes_and_pods_are_one_answer(filled: Filled) -> None:
    pods = [PodKey("cluster1", "default", f"web-{number}") for number in range(20)]
    for number, pod in enumerate(pods):
        await place(filled, pod, (f"n{1 + number % 2}", [20, 10]))
    on_nodes = await filled.store.pods_on_nodes(frozenset({N1, N2}), ago(10))
    by_pod = await filled.store.placements(frozenset(pods), start_ns=ago(60), end_ns=ago(0))
    assert [placement.pod for placement in on_nodes[N2]] == sorted(pods[1::2])
    assert {pod: [run.node for run in runs] for pod, runs in by_pod.items()} == {
        pod: [f"n{1 + number % 2}"] for number, pod in enumerate(pods)
    }


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_hostile_names_are_names(filled: Filled, name: str) -> None:
    pod, node = PodKey(name, name, name), NodeKey(name, name)
    await place(filled, WEB, ("n1", [20]))
    await place(filled, pod, (name, [20]))
    on_nodes = await filled.store.pods_on_nodes(frozenset({node}), ago(10))
    by_pod = await filled.store.placements(frozenset({pod}), start_ns=ago(60), end_ns=ago(0))
    assert on_nodes == {node: [Placement(pod, name, ago(20), ago(20))]}
    assert by_pod == {pod: [Placement(pod, name, ago(20), ago(20))]}


async def test_nothing_asked_is_nothing_answered(filled: Filled) -> None:
    assert await filled.store.pods_on_nodes(frozenset(), ago(10)) == {}
    assert await filled.store.placements(frozenset(), start_ns=ago(60), end_ns=ago(0)) == {}
