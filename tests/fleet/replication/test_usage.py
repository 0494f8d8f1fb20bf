"""Usage on its way between replicas: what is written is read, by this version and by others, and nothing else is."""

import random

import msgspec
import pytest

from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Measure, Point
from fleet.replication.usage import FORM, Nodes, Pods, decode_usage, encode_usage

NOW = 1_800_000_000 * NANOSECONDS + 123_456_789
POD, NODE = (PodKey("c1", "shop", "p0"), Point(NOW, 0.25, node="n1")), (NodeKey("c1", "n1"), Point(NOW, 1.5, node="n1"))


def build_round(pods: int, seed: int) -> tuple[Pods, Nodes]:
    """Points of which each knows some measures, at different times, on some node or on none that is known."""
    rng = random.Random(seed)

    def build_point(node: str | None) -> Point:
        amounts = {measure.value: rng.randrange(2**63) for measure in Measure if rng.random() < 0.7}
        cores = {"cpu_cores": rng.random()} if rng.random() < 0.9 else {}
        return Point(**{"time_ns": NOW - rng.randrange(10**9), "node": node} | amounts | cores)  # type: ignore[arg-type]  # by name

    nodes = [(NodeKey("c1", f"n{number}"), build_point(f"n{number}")) for number in range(pods // 20)]
    places = [None, *(key.name for key, _ in nodes)]
    return [
        (PodKey("c1", f"team-{number % 7}", f"pod-ü-{number}"), build_point(rng.choice(places)))
        for number in range(pods)
    ], nodes


@pytest.mark.parametrize("pods", [0, 1, 30, 3000])
def test_a_round_is_read_as_it_was_written(pods: int) -> None:
    written = build_round(pods, seed=pods)
    (body,) = encode_usage(*written)
    assert decode_usage(body, "c1") == written
    assert len(body) < 120 * pods + 400


def test_a_large_round_goes_in_several_bodies_that_are_small_enough() -> None:
    pods, nodes = build_round(3000, seed=1)
    bodies = encode_usage(pods, nodes, most_bytes=50_000)
    read = [decode_usage(body, "c1") for body in bodies]
    assert max(map(len, bodies)) <= 50_000
    assert [point for part, _ in read for point in part] == pods
    assert [point for _, part in read for point in part] == nodes


def test_the_cluster_is_the_reader_s_word() -> None:
    pods, nodes = decode_usage(encode_usage([POD], [NODE])[0], "c2")
    assert (pods[0][0], nodes[0][0]) == (PodKey("c2", "shop", "p0"), NodeKey("c2", "n1"))


def test_what_a_newer_writer_adds_is_left_out() -> None:
    pods, nodes = msgspec.msgpack.decode(encode_usage([POD], [NODE])[0][1:])
    pods[-1]["gpu_cores"] = [0.5]
    body = bytes([FORM]) + msgspec.msgpack.encode([[*pods, "more"], nodes, "more"])
    assert decode_usage(body, "c1") == ([POD], [NODE])


def _changed(place: int, value: object) -> bytes:
    pods, nodes = msgspec.msgpack.decode(encode_usage([POD], [NODE])[0][1:])
    pods[place] = value
    return bytes([FORM]) + msgspec.msgpack.encode([pods, nodes])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "usage of form none can't be read, only form 01: upgrade"),
        (b"\x02\x90", "usage of form 02 can't be read, only form 01: upgrade"),
        (bytes([FORM]), "not what its form promises"),
        (bytes([FORM]) + b"\xc1", "not what its form promises"),
        (_changed(3, [7]), "not what its form promises"),
        (_changed(4, ["p0", "p1"]), "not what its form promises"),
        (_changed(6, [0, 0]), "not what its form promises"),
        (_changed(7, {"cpu_cores": [0.5, 0.5]}), "not what its form promises"),
        (_changed(7, {"cpu_cores": ["many"]}), "not what its form promises"),
    ],
    ids=["empty", "newer", "bare", "no MessagePack", "no such namespace", "names", "times", "values", "a text"],
)
def test_what_is_no_usage_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decode_usage(body, "c1")


def test_whatever_the_bytes_are_it_is_usage_or_no_usage() -> None:
    rng, (body,) = random.Random(1), encode_usage(*build_round(20, seed=2))
    refused = 0
    for _ in range(2_000):
        changed = bytearray(body)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(1, len(changed))] = rng.randrange(256)
        try:
            decode_usage(bytes(changed[: rng.choice((len(changed), rng.randrange(len(changed))))]), "c1")
        except ValueError:
            refused += 1
    assert 500 < refused < 2_000
