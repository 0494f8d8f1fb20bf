"""Which traces are kept, by OpenTelemetry's names."""

import random

import pytest

from server.tracing.context import Remote
from server.tracing.sampling import build_sampler

KEPT, UNKEPT = Remote(1, 1, sampled=True), Remote((1 << 56) - 1, 1, sampled=False)


@pytest.mark.parametrize(
    ("name", "of_a_root", "of_kept", "of_unkept"),
    [
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("parentbased_always_on", True, True, False),
        ("parentbased_always_off", False, True, False),
    ],
)
def test_a_caller_is_followed_where_that_is_asked_for(
    name: str, of_a_root: bool, of_kept: bool, of_unkept: bool
) -> None:
    sampler = build_sampler(name, 0.5)
    found = [sampler.keeps(1, remote) for remote in (None, KEPT, UNKEPT)]
    assert found == [of_a_root, of_kept, of_unkept]


def test_a_ratio_keeps_as_many_and_the_same_on_each_replica() -> None:
    drawn = random.Random(1)
    ids = [drawn.getrandbits(128) for _ in range(10_000)]
    few, many = (build_sampler("parentbased_traceidratio", ratio) for ratio in (0.1, 0.5))
    kept = {trace_id for trace_id in ids if few.keeps(trace_id, None)}
    assert 900 < len(kept) < 1_100
    assert all(many.keeps(trace_id, None) for trace_id in kept)
    assert not build_sampler("traceidratio", 0.1).keeps((1 << 56) - 1, KEPT)
