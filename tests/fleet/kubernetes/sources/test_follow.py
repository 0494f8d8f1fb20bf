"""A collection of the host is followed while nothing happens in it, and says so only where something is wrong."""

import logging

import pytest

from fleet.aio.tasks import open_task
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.kubernetes.sources.follow import Follower, FollowOptions
from fleet.kubernetes.sources.kubefed_objects import kubefed_clusters
from tests.fakes.waiting import until
from tests.fleet.kubernetes.sources.host_api import CLUSTERS, open_host_api


def list_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("fleet")]


async def test_a_quiet_host_is_a_healthy_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fleet")
    async with open_host_api() as (api, url):
        connection = HttpConnection("openmcp", Target(url))
        options = FollowOptions(silence=0.05, retry=0.05)
        follower = Follower(kubefed_clusters("kube-federation-system"), lambda: None, options)
        async with open_task("follow", lambda: follower.run(connection)):
            await until(lambda: api.watches >= 4, what="four watches")
            quiet = (api.lists, follower.problem, list_lines(caplog))
            await api.join("c1")
            await until(lambda: "c1" in follower.objects, what="the new object")
            api.refused[CLUSTERS] = 403
            await until(lambda: follower.problem is not None, what="a refusal")
        await connection.close()

    assert quiet == (1, None, [])
    (line,) = list_lines(caplog)
    assert "can't be followed: cluster openmcp answered 403" in line
