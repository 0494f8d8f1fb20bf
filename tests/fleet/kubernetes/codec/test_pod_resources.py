"""Effective requests and limits of a pod."""

from typing import Any

import msgspec
import pytest

from fleet.kubernetes.codec.pod_resources import listed_amounts, pod_limits, pod_requests
from fleet.kubernetes.codec.pod_wire import WirePod
from fleet.kubernetes.codec.pods import decode_pod
from fleet.kubernetes.codec.wire import PodSpec
from fleet.model.objects import NO_RESOURCES, MissingAmount, Resources


def spec(containers: list[dict[str, Any]], init: list[dict[str, Any]] | None = None, **more: Any) -> PodSpec:
    return msgspec.convert({"containers": containers, "initContainers": init or [], **more}, PodSpec)


def listed(given: PodSpec, **status: Any) -> WirePod:
    return decode_pod(msgspec.json.encode({"metadata": {"name": "p"}, "spec": given, "status": status}))


def asks(cpu: str | None = None, memory: str | None = None, *, sidecar: bool = False) -> dict[str, Any]:
    amounts = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    more = {"restartPolicy": "Always"} if sidecar else {}
    return {"name": "c", "resources": {"requests": amounts, "limits": amounts}, **more}


CASES: dict[str, tuple[PodSpec, Resources]] = {
    "nothing": (spec([asks()]), NO_RESOURCES),
    "sum": (spec([asks("100m", "1Mi"), asks("200m", "2Mi")]), Resources(0.3, 3 * 1024**2)),
    "some ask": (spec([asks("100m"), asks()]), Resources(0.1)),
    "larger init": (spec([asks("100m")], [asks("1"), asks("500m")]), Resources(1.0)),
    "smaller init": (spec([asks("2")], [asks("1")]), Resources(2.0)),
    "sidecar adds": (spec([asks("1")], [asks("500m", sidecar=True)]), Resources(1.5)),
    "init beside an earlier sidecar": (spec([asks("1")], [asks("500m", sidecar=True), asks("2")]), Resources(2.5)),
    "init before a later sidecar": (spec([asks("1")], [asks("2"), asks("500m", sidecar=True)]), Resources(2.0)),
    "overhead": (spec([asks("1")], overhead={"cpu": "250m", "memory": "1Ki"}), Resources(1.25, 1024)),
    "parts of bytes": (spec([asks("1n", "500m"), asks("1n", "500m"), asks("1n", "1.5")]), Resources(3e-9, 3)),
    "more than a byte": (spec([asks(memory="1m"), asks(memory="1")]), Resources(None, 2)),
    "pod level": (spec([asks("1", "1Ki")], resources={"requests": {"cpu": "4"}}), Resources(4.0, 1024)),
}


@pytest.mark.parametrize("case", CASES)
def test_requests(case: str) -> None:
    given, expected = CASES[case]
    assert pod_requests(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (spec([asks("1", "1Ki"), asks("2", "1Ki")]), Resources(3.0, 2048)),
        (spec([asks("1", "1Ki"), asks("2")]), Resources(3.0)),
        (spec([asks("1")], [asks()]), Resources(1.0)),
        (spec([asks("1")], [asks(sidecar=True)]), NO_RESOURCES),
        (spec([asks("1")], [asks("3")]), Resources(3.0)),
        (spec([asks("1")], overhead={"cpu": "100m", "memory": "1Ki"}), Resources(1.1)),
        (spec([asks()], resources={"limits": {"cpu": "2"}}), Resources(2.0)),
    ],
)
def test_limits_are_none_where_a_container_has_none(given: PodSpec, expected: Resources) -> None:
    assert pod_limits(given) == expected


def test_a_wrong_quantity_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        pod_requests(spec([asks("lots")]))


def test_what_is_remembered_is_what_would_be_computed() -> None:
    """Specs that differ in one thing only: none of them may be taken for another."""
    specs = [given for given, _ in CASES.values()]
    specs += [
        spec([asks("1")], [{"name": "c", "restartPolicy": policy, "resources": None}]) for policy in (None, "Always")
    ]
    specs += [spec([asks("1")], [asks("2", sidecar=sidecar)]) for sidecar in (False, True)]
    specs += [spec([asks("1"), asks("2")]), spec([asks("1")], [asks("2")]), spec([asks("1")], overhead={"cpu": "2"})]
    specs += [spec([asks("1")], resources={part: {"cpu": "2"}}) for part in ("requests", "limits")]
    for given in [*specs, *reversed(specs)]:
        assert listed_amounts(listed(given))[:2] == (pod_requests(given), pod_limits(given))
    assert listed_amounts(listed(specs[0])) is listed_amounts(listed(specs[0]))


def test_amounts_that_are_bytes_are_read_as_those_that_are_not() -> None:
    """Twice, since the second time they are remembered; the last one is too long to be."""
    specs = [given for given, _ in CASES.values()]
    specs += [spec([asks("1")], [asks("2", sidecar=sidecar)]) for sidecar in (False, True)]
    specs += [spec([{"name": "c"}]), spec([{"name": "c", "resources": None}]), spec([]), spec([asks("1")] * 1000)]
    for given in [*specs, *specs]:
        assert listed_amounts(listed(given))[:2] == (pod_requests(given), pod_limits(given))


def status(name: str, actual: dict[str, str] | None, allocated: dict[str, str] | None = None) -> dict[str, Any]:
    resources = {} if actual is None else {"resources": {"requests": actual, "limits": actual}}
    return {"name": name, **resources, **({} if allocated is None else {"allocatedResources": allocated})}


INFEASIBLE = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]


@pytest.mark.parametrize(
    ("statuses", "conditions", "cores"),
    [
        ([status("c", {"cpu": "1"}, {"cpu": "1"})], [], (1.0, 1.0)),
        ([status("c", {"cpu": "2"}, {"cpu": "1"})], [], (2.0, 2.0)),
        ([status("c", {"cpu": "500m"}, {"cpu": "3"})], [], (3.0, 1.0)),
        ([status("c", None, {"cpu": "3"})], [], (1.0, 1.0)),
        ([status("other", {"cpu": "3"}, {"cpu": "3"})], [], (1.0, 1.0)),
        ([status("c", {"cpu": "250m"}, {"cpu": "500m"})], INFEASIBLE, (0.5, 0.25)),
        ([status("c", {"cpu": "250m"}, {"cpu": "500m"})], [{**INFEASIBLE[0], "reason": "Deferred"}], (1.0, 1.0)),
        ([status("c", {})], INFEASIBLE, (None, None)),
    ],
    ids=["settled", "had", "promised", "not told", "another's", "infeasible", "deferred", "infeasible from nothing"],
)
def test_a_resize_counts_by_its_largest_amount(
    statuses: list[dict[str, Any]], conditions: list[dict[str, str]], cores: tuple[float | None, float | None]
) -> None:
    """Twice, since the second time it is remembered, whatever the conditions of an equal pod were."""
    given = spec([asks("1")])
    for state in (conditions, INFEASIBLE, [], conditions):
        amounts = listed_amounts(listed(given, containerStatuses=statuses, conditions=state))
    assert (amounts.requests.cpu_cores, amounts.limits.cpu_cores) == cores


def test_only_init_containers_that_keep_running_are_resized() -> None:
    for sidecar, cores in ((True, 4.0), (False, 2.0)):
        given = spec([asks("1")], [asks("2", sidecar=sidecar) | {"name": "init"}])
        amounts = listed_amounts(listed(given, initContainerStatuses=[status("init", {"cpu": "3"}, {"cpu": "3"})]))
        assert amounts.requests.cpu_cores == cores


def test_statuses_in_another_order_are_those_of_their_containers() -> None:
    given = spec([asks("1") | {"name": "a"}, asks("2") | {"name": "b"}])
    statuses = [status("b", {"cpu": "1"}, {"cpu": "1"}), status("a", {"cpu": "2"}, {"cpu": "2"})]
    assert listed_amounts(listed(given, containerStatuses=statuses)).requests.cpu_cores == 4.0


def gpus(count: str, *, sidecar: bool = False) -> dict[str, Any]:
    amounts = {"nvidia.com/gpu": count, "hugepages-2Mi": "4Mi"}
    more = {"restartPolicy": "Always"} if sidecar else {}
    return {"name": "c", "resources": {"requests": amounts, "limits": amounts}, **more}


@pytest.mark.parametrize(
    ("given", "hugepages", "count"),
    [
        (spec([gpus("2")]), 4, 2),
        (spec([gpus("2"), asks("1")]), 4, 2),
        (spec([gpus("2"), gpus("1")]), 8, 3),
        (spec([gpus("2")], [gpus("3")]), 4, 3),
        (spec([gpus("2")], [gpus("1", sidecar=True), gpus("1k")]), 8, 1001),
    ],
)
def test_other_resources_are_limits_as_well_since_who_asks_for_none_has_none(
    given: PodSpec, hugepages: int, count: int
) -> None:
    extended = (("hugepages-2Mi", hugepages << 20), ("nvidia.com/gpu", count))
    assert pod_requests(given).extended == pod_limits(given).extended == extended
    assert listed_amounts(listed(given))[:2] == (pod_requests(given), pod_limits(given))


def test_other_resources_outlast_a_resize() -> None:
    given = {"name": "c", "resources": {part: {"cpu": "2", "nvidia.com/gpu": "1"} for part in ("requests", "limits")}}
    actual = {part: {"cpu": "1", "nvidia.com/gpu": "1"} for part in ("requests", "limits")}
    pod = listed(spec([given]), containerStatuses=[{"name": "c", "resources": actual}])
    assert listed_amounts(pod).requests == Resources(2.0, extended=(("nvidia.com/gpu", 1),))


NO_MEMORY = {MissingAmount.MEMORY_REQUEST, MissingAmount.MEMORY_LIMIT}


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (spec([{"name": "c"}]), {*MissingAmount}),
        (spec([asks("1"), {"name": "c"}]), {*MissingAmount}),
        (spec([asks("1")]), NO_MEMORY),
        (spec([asks("1")], [asks("1", sidecar=True), {"name": "i"}]), NO_MEMORY),
        (spec([asks("0")]), NO_MEMORY),
        (spec([{"name": "c"}], overhead={"cpu": "1"}), {*MissingAmount}),
        (spec([{"name": "c", "resources": {"requests": {"cpu": "1"}}}]), NO_MEMORY | {MissingAmount.CPU_LIMIT}),
        (spec([{"name": "c"}], resources={"limits": {"cpu": "1"}}), {*MissingAmount} - {MissingAmount.CPU_LIMIT}),
        (
            spec([{"name": "c", "resources": {part: {"cpu": "1", "memory": "1"} for part in ("requests", "limits")}}]),
            set(),
        ),
    ],
)
def test_an_amount_is_missing_that_one_container_does_not_say(given: PodSpec, missing: set[MissingAmount]) -> None:
    assert listed_amounts(listed(given)).missing == missing
