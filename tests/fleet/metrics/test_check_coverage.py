"""What `check` says of an InfluxDB and the clusters that there are."""

import time
from pathlib import Path

import pytest

from fleet.model.objects import ClusterRole, NodeKey
from fleet.model.usage import NANOSECONDS, Point
from fleet.ports import MemberSpec
from server.check.clusters import Tried
from server.check.metrics import describe_coverage
from tests.fleet.metrics.stores import INFLUX_STORES, open_filled

DAY_NS = 86_400 * NANOSECONDS


@pytest.mark.parametrize("name", INFLUX_STORES)
async def test_clusters_without_points_and_points_without_a_cluster(
    request: pytest.FixtureRequest, tmp_path: Path, name: str
) -> None:
    async with open_filled(name, request, tmp_path) as filled:
        now = time.time_ns()
        for cluster, node, time_ns in (("c1", "n1", now), ("c2", "n1", now - 3 * DAY_NS), ("of-yesterday", "n1", now)):
            await filled.write(nodes=[(NodeKey(cluster, node), Point(time_ns, cpu_cores=0.5, memory_bytes=1))])
        tried = [Tried(MemberSpec(each, ClusterRole.MEMBER, None), nodes=("n0", "n1")) for each in ("c1", "c2", "c3")]
        said = await describe_coverage(filled.store, tried)
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime((now - 3 * DAY_NS) / NANOSECONDS))
    assert said == (
        "points with cluster=of-yesterday, which is no cluster here; "
        f"no node of c2 was measured since {since}, no node of c3 was measured ever"
    )
