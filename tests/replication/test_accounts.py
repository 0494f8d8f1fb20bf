"""Replicas by the two accounts of the chart's nats.conf: one that may write, and one that can publish nothing."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from demo.simulator import open_simulated_fleet
from realfleet.nats import NatsServer
from tests.fakes.waiting import until
from tests.replication.test_served_figures import Replica, open_replica
from tests.required import both_versions
from tests.server.test_check_state import ACCOUNTS


@both_versions
async def test_who_can_publish_nothing_follows(start_nats_server: Callable[..., NatsServer], tmp_path: Path) -> None:
    nats = start_nats_server(**ACCOUNTS)
    async with open_simulated_fleet(clusters=1, pods=12) as fleet, AsyncExitStack() as stack:

        async def start(user: str, **more: str) -> Replica:
            access = {"OPENMCP_NATS_USERNAME": user, "OPENMCP_NATS_PASSWORD": nats.user(user).password}
            return await stack.enter_async_context(open_replica(fleet, nats, tmp_path, **access, **more))

        writer = await start("writer")
        right = await start("follower", OPENMCP_NATS_WRITES="false")
        wrong = await start("follower")

        async def are_alike() -> bool:
            answers = [await ask(replica) for replica in (writer, right, wrong)]
            return answers[0] == answers[1] == answers[2] and answers[0].count("'OK'") == 2

        await until(are_alike, what="all have all pods", every=0.1)
        for replica in (right, wrong):
            assert set((await replica.figures("openmcp_state_lists_total")).values()) <= {0.0}
        assert "permissions violation" not in right.server.log.read_text().lower()
        told = "this replica only follows, since its account may not"
        await until(lambda: wrong.server.log.read_text().count(told) == 1, what=told)


async def ask(replica: Replica) -> str:
    """How many pods there are, and how each cluster is."""
    answer = await replica.server.ask(await replica.server.sign_in(), "{ pods { totalCount clusters { state } } }")
    return str(answer["data"])
