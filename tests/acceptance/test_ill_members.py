"""One member hangs, one refuses: the others are whole, the ill ones named in time; then all is well again."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from realfleet.fleet import Fleet
from realfleet.kubeconfig import Access
from realfleet.membership import place_of, register_member, unregister_member
from realfleet.ports import list_free_ports
from tests.acceptance.conftest import MEMBER_TIMEOUT
from tests.fakes.waiting import until
from tests.processes import RunningServer

pytestmark = pytest.mark.real

ANSWERED_WITHIN = 2 * MEMBER_TIMEOUT
"""One deadline, and as long again, since a test machine of two cores runs five API servers beside this."""

QUESTION = "{ pods(first: 10000) { items { cluster { name } name } clusters { name state message ageSeconds } } }"
REFUSING = "cluster9"


@pytest.fixture
def refusing(real_fleet: Fleet) -> Iterator[str]:
    """A member whose port nobody listens on."""
    nobody = f"https://127.0.0.1:{list_free_ports(1)[0]}"
    access = Access(REFUSING, nobody, real_fleet.host.ca_pem, "a-token-that-nobody-reads")
    register_member(real_fleet.host.client, access, place_of(9))
    try:
        yield REFUSING
    finally:
        unregister_member(real_fleet.host.client, REFUSING)


async def ask(served: RunningServer, token: str) -> tuple[dict[str, Any], dict[str, int], float]:
    """Outcomes by cluster, pods by cluster, and the seconds the answer took."""
    began = time.monotonic()
    body: Any = await served.ask(token, QUESTION)
    took = time.monotonic() - began
    assert "errors" not in body, body["errors"]
    pods: dict[str, int] = {}
    for pod in body["data"]["pods"]["items"]:
        pods[pod["cluster"]["name"]] = pods.get(pod["cluster"]["name"], 0) + 1
    return {outcome["name"]: outcome for outcome in body["data"]["pods"]["clusters"]}, pods, took


async def wait_for_state(served: RunningServer, token: str, cluster: str, state: str | None) -> None:
    """Until the cluster's outcome has the state (None: the cluster is gone)."""

    async def has_come() -> bool:
        outcomes, _, _ = await ask(served, token)
        return bool(outcomes.get(cluster, {}).get("state") == state)

    await until(has_come, what=f"state {state} of {cluster}", every=0.1)


async def test_hanging_and_refusing_members(
    real_fleet: Fleet, served: RunningServer, token: str, refusing: str
) -> None:
    await wait_for_state(served, token, refusing, "UNREACHABLE")
    _, whole, _ = await ask(served, token)
    ill, well = real_fleet.members[0], real_fleet.members[1]

    ill.process.pause()
    try:
        await wait_for_state(served, token, ill.name, "TIMEOUT")
        outcomes, pods, took = await ask(served, token)
        assert took < ANSWERED_WITHIN
        assert outcomes[well.name]["state"] == outcomes["openmcp"]["state"] == "OK"
        assert pods == {well.name: whole[well.name]}
        assert outcomes[ill.name]["message"]
        assert outcomes[refusing]["state"] == "UNREACHABLE"
        assert "refused" in outcomes[refusing]["message"]
    finally:
        ill.process.resume()

    await wait_for_state(served, token, ill.name, "OK")
    _, pods, _ = await ask(served, token)
    assert pods == whole


async def test_the_first_answer_after_a_member_hangs_is_within_the_deadline(
    real_fleet: Fleet, served: RunningServer, token: str
) -> None:
    ill = real_fleet.members[1]
    ill.process.pause()
    try:
        _, _, took = await ask(served, token)
        assert took < ANSWERED_WITHIN
        await wait_for_state(served, token, ill.name, "TIMEOUT")
    finally:
        ill.process.resume()
    await wait_for_state(served, token, ill.name, "OK")


async def test_a_member_comes_and_goes_without_a_restart(real_fleet: Fleet, served: RunningServer, token: str) -> None:
    model = real_fleet.members[0].access
    again = Access("cluster8", model.url, model.ca_pem, model.token)
    register_member(real_fleet.host.client, again, place_of(8))
    try:
        await wait_for_state(served, token, "cluster8", "OK")
        _, pods, _ = await ask(served, token)
        assert pods["cluster8"] == pods[real_fleet.members[0].name]
    finally:
        unregister_member(real_fleet.host.client, "cluster8")
    await wait_for_state(served, token, "cluster8", None)
