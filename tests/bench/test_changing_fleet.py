"""Members that change at a rate, which the rows of shared state are measured with, are watched as others are."""

from bench.changing import open_changing
from bench.children.changing_fleet import read_clock
from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.visibility import EVERYTHING
from fleet.registry import FleetOptions, open_federation
from tests.fakes.waiting import until


async def test_what_changes_says_when_it_did_and_is_counted() -> None:
    async with (
        open_changing(2, 40) as fleet,
        open_kubeconfig_source((fleet.kubeconfig,)) as source,
        open_federation(source, FleetOptions()) as federation,
    ):
        await federation.wait_synced(20)
        member = federation._roster.get(EVERYTHING, "cluster001")
        before = {pod.name: pod.restarts for pod in member.pods}
        began = read_clock()
        assert (await fleet.order(400)).lists >= 6
        await until(lambda: all(began <= pod.restarts <= read_clock() for pod in member.pods))
        assert len(before) == 40
        assert (await fleet.order(0)).changes >= 80
