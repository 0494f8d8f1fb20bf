"""Effective requests and limits of a pod."""

from typing import Any

import msgspec
import pytest

from fleet.kubernetes.codec.pod_resources import listed_amounts, pod_limits, pod_requests
from fleet.kubernetes.codec.pod_wire import ListedSpec
from fleet.kubernetes.codec.wire import PodSpec
from fleet.model.objects import NO_RESOURCES, Resources


def spec(containers: list[dict[str, Any]], init: list[dict[str, Any]] | None = None, **more: Any) -> PodSpec:
    return msgspec.convert({"containers": containers, "initContainers": init or [], **more}, PodSpec)


def listed(given: PodSpec) -> ListedSpec:
    return msgspec.json.decode(msgspec.json.encode(given), type=ListedSpec)


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
        assert listed_amounts(listed(given)) == (pod_requests(given), pod_limits(given))
    assert listed_amounts(listed(specs[0])) is listed_amounts(listed(specs[0]))


def test_amounts_that_are_bytes_are_read_as_those_that_are_not() -> None:
    """Twice, since the second time they are remembered; the last one is too long to be."""
    specs = [given for given, _ in CASES.values()]
    specs += [spec([asks("1")], [asks("2", sidecar=sidecar)]) for sidecar in (False, True)]
    specs += [spec([{"name": "c"}]), spec([{"name": "c", "resources": None}]), spec([]), spec([asks("1")] * 1000)]
    for given in [*specs, *specs]:
        assert listed_amounts(listed(given)) == (pod_requests(given), pod_limits(given))
