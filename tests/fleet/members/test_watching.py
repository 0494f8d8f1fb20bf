"""Watching a member over a connection of its own, or over one that stays when it ends."""

from functools import partial

from fleet.aio.tasks import open_task
from fleet.members.member import FleetOptions, Member
from fleet.members.watching import Watching
from tests.fakes.kubernetes import FakeCluster, FakeConnection, FakeSource, build_spec
from tests.fakes.waiting import until


async def test_a_connection_that_calls_were_passed_on_by_before_is_there_afterwards() -> None:
    source, options = FakeSource(FakeCluster("east")), FleetOptions()
    watching = Watching(source, options)
    member = Member(build_spec("east"), watching, options)
    before = member.connection = FakeConnection(source.clusters["east"])
    async with open_task("watching", partial(watching.run, member)):
        await until(lambda: member.connection is not before)
    assert member.connection is before
