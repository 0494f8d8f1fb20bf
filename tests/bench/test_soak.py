"""The soak, short: subscribers of both transports, pods that churn, and members that fall ill one after the other."""

from bench.soak import soak


async def test_all_subscribers_end_with_the_state_of_a_fresh_query() -> None:
    assert await soak(0.25, 20, members=2, pods=20, pause=0.1) == []
