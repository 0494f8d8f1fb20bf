"""Lists over many clusters: filters, scopes, and what becomes of a member that is missing."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fleet.federation import Federation
from fleet.model.errors import ClusterNotFound, ClusterTimeout, Forbidden, InvalidQuery
from fleet.model.kinds import NODES, PODS
from fleet.model.objects import NO_RESOURCES, NodeKey, OnUnavailable, OutcomeState, Pod, PodKey, PodPhase, Resources
from fleet.model.queries import NameFilter, NodeFilter, Order, Page, PageRequest, PodFilter
from fleet.model.ranking import UsageField, build_bound, build_column
from fleet.model.selectors import parse_label_selector, parse_pod_field_selector
from fleet.model.visibility import EVERYTHING, Role, Scope
from tests.fakes.kubernetes import FakeCluster, build_pod, build_spec
from tests.fleet.conftest import OPTIONS, OpenFleet

PARTIAL, STALE, STRICT = OnUnavailable
SHOP = Scope(Role.VIEW, namespaces=("sh*",))
ONE_CLUSTER = Scope(Role.VIEW, clusters=("c1",))


async def list_pods(
    federation: Federation,
    wanted: PodFilter = PodFilter(),  # noqa: B008 - frozen
    *,
    scope: Scope = EVERYTHING,
    mode: OnUnavailable = PARTIAL,
    page: PageRequest = PageRequest(),  # noqa: B008 - frozen
) -> Page[Pod]:
    return await federation.list_page(PODS, scope, wanted, (), page, mode)


def names(page: Page[Pod]) -> list[str]:
    return [f"{pod.cluster}/{pod.namespace}/{pod.name}" for pod in page.items]


def states(page: Page[Any]) -> dict[str, OutcomeState]:
    return {outcome.cluster: outcome.state for outcome in page.outcomes}


async def test_a_list_holds_all_clusters_host_first_in_its_outcomes(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", "openmcp", pods=2) as fleet:
        page = await list_pods(fleet.federation)
    assert names(page) == ["c1/ops/p1", "c1/shop/p0", "openmcp/ops/p1", "openmcp/shop/p0"]
    assert [outcome.cluster for outcome in page.outcomes] == ["openmcp", "c1"]
    assert {*states(page).values()} == {OutcomeState.OK}
    assert len(page.matched) == 4


FILTERS: list[tuple[PodFilter, Callable[[Pod], object]]] = [
    (PodFilter(clusters=frozenset({"c2"})), lambda pod: pod.cluster == "c2"),
    (PodFilter(clusters=frozenset()), lambda pod: False),
    (PodFilter(namespaces=frozenset({"shop", "none"})), lambda pod: pod.namespace == "shop"),
    (PodFilter(nodes=frozenset({"n1"})), lambda pod: pod.node_name == "n1"),
    (
        PodFilter(nodes=frozenset({"n1", "n2"}), namespaces=frozenset({"ops"})),
        lambda p: p.node_name and p.namespace == "ops",
    ),
    (PodFilter(phases=frozenset({PodPhase.PENDING})), lambda pod: pod.node_name is None),
    (PodFilter(name=NameFilter(starts_with="p1")), lambda pod: pod.name.startswith("p1")),
    (PodFilter(name=NameFilter(eq="p1"), namespaces=frozenset({"ops"})), lambda pod: pod.name == "p1"),
    (PodFilter(labels=parse_label_selector("app=a1")), lambda pod: ("app", "a1") in pod.labels),
    (PodFilter(fields=parse_pod_field_selector("spec.nodeName=n2")), lambda pod: pod.node_name == "n2"),
    (PodFilter(fields=parse_pod_field_selector("spec.nodeName=")), lambda pod: pod.node_name is None),
    (PodFilter(fields=parse_pod_field_selector("metadata.namespace=ops")), lambda pod: pod.namespace == "ops"),
    (PodFilter(fields=parse_pod_field_selector("spec.nodeName=n2"), nodes=frozenset({"n1"})), lambda pod: False),
]


@pytest.mark.parametrize("scope", [EVERYTHING, SHOP])
async def test_filters_select_what_a_plain_scan_selects(open_fleet: OpenFleet, scope: Scope) -> None:
    async with open_fleet("c1", "c2", pods=15) as fleet:
        everything = (await list_pods(fleet.federation, scope=scope)).items
        for wanted, test in FILTERS:
            if wanted.namespaces and not any(scope.sees_namespace("c1", name, "pods") for name in wanted.namespaces):
                continue  # naming only what is out of reach is an error, and has a test of its own
            page = await list_pods(fleet.federation, wanted, scope=scope)
            assert [*page.items] == [pod for pod in everything if test(pod)], wanted
        assert {pod.namespace for pod in everything} == ({"shop"} if scope is SHOP else {"shop", "ops"})


async def test_a_cluster_out_of_reach_is_not_there(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", "c2") as fleet:
        page = await list_pods(fleet.federation, scope=ONE_CLUSTER)
        assert {pod.cluster for pod in page.matched} == {"c1"}
        assert states(page) == {"c1": OutcomeState.OK}
        assert [cluster.name for cluster in fleet.federation.list_clusters(ONE_CLUSTER)] == ["c1"]


async def test_what_is_out_of_reach_is_an_error_when_named(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", "c2") as fleet:
        federation = fleet.federation
        for name in ("c2", "c3"):
            expected = f"^no cluster is named '{name}'; clusters: c1$"
            with pytest.raises(ClusterNotFound, match=expected):
                await list_pods(federation, PodFilter(clusters=frozenset({name})), scope=ONE_CLUSTER)
            with pytest.raises(ClusterNotFound, match=expected):
                federation.get_cluster(ONE_CLUSTER, name)
            with pytest.raises(ClusterNotFound, match=expected):
                federation.get_connection(ONE_CLUSTER, name)
        with pytest.raises(Forbidden):
            await federation.get(PODS, SHOP, PodKey("c1", "ops", "p1"))
        with pytest.raises(Forbidden):
            await federation.get(NODES, SHOP, NodeKey("c1", "n1"))
        with pytest.raises(Forbidden):
            await federation.list_page(NODES, SHOP, NodeFilter(clusters=frozenset({"c1"})), (), PageRequest(), PARTIAL)


async def test_namespaces_that_are_named_and_all_out_of_reach_are_an_error(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        wanted = PodFilter(namespaces=frozenset({"ops", "kube-system"}))
        with pytest.raises(Forbidden, match="kube-system, ops"):
            await fleet.federation.list_page(PODS, SHOP, wanted, (), PageRequest(), PARTIAL)
        some = PodFilter(namespaces=frozenset({"ops", "shop"}))
        page = await fleet.federation.list_page(PODS, SHOP, some, (), PageRequest(), PARTIAL)
        assert {pod.namespace for pod in page.items} == {"shop"}


async def test_nodes_need_all_namespaces(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        page = await fleet.federation.list_page(NODES, SHOP, NodeFilter(), (), PageRequest(), PARTIAL)
        assert (page.items, states(page)) == ((), {"c1": OutcomeState.FORBIDDEN})
        assert fleet.federation.get_cached(NODES, SHOP, NodeKey("c1", "n1")) is None
        whole = await fleet.federation.list_page(NODES, EVERYTHING, NodeFilter(), (), PageRequest(), PARTIAL)
        assert [node.name for node in whole.items] == ["n1", "n2"]


@pytest.mark.parametrize("mode", [PARTIAL, STALE, STRICT])
async def test_a_cluster_that_does_not_exist_is_an_error_in_every_mode(
    open_fleet: OpenFleet, mode: OnUnavailable
) -> None:
    async with open_fleet("c1", "c2") as fleet:
        with pytest.raises(ClusterNotFound, match=r"'nope'; clusters: c1$"):
            await list_pods(
                fleet.federation, PodFilter(clusters=frozenset({"c1", "nope"})), scope=ONE_CLUSTER, mode=mode
            )


async def test_a_hung_member_is_left_out_and_named(open_fleet: OpenFleet) -> None:
    options = msgspec.structs.replace(OPTIONS, member_timeout=1.0)
    async with open_fleet("c1", "c2", options=options) as fleet:
        fleet["c2"].answering.clear()
        await fleet.until_state("c2", lambda cluster: (cluster.age_seconds or 0) > options.fresh_seconds)
        started = asyncio.get_running_loop().time()
        page = await list_pods(fleet.federation)
        took = asyncio.get_running_loop().time() - started
        assert states(page) == {"c1": OutcomeState.OK, "c2": OutcomeState.TIMEOUT}
        assert {pod.cluster for pod in page.matched} == {"c1"}
        assert took < 2 * options.member_timeout  # one deadline
        fleet["c2"].answering.set()


async def test_stale_answers_the_last_known_state_marked_and_aged(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", "c2") as fleet:
        fleet["c2"].refusing = True
        await fleet.until_state(
            "c2", lambda cluster: cluster.message and (cluster.age_seconds or 0) > OPTIONS.fresh_seconds
        )
        page = await list_pods(fleet.federation, mode=STALE)
        outcome = next(outcome for outcome in page.outcomes if outcome.cluster == "c2")
        assert outcome.state is OutcomeState.STALE
        assert outcome.age_seconds is not None
        assert "c2 refused the connection" in (outcome.message or "")
        assert {pod.cluster for pod in page.matched} == {"c1", "c2"}


async def test_stale_has_nothing_of_a_member_that_never_answered(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        silent = FakeCluster("c3")
        silent.refusing = True
        fleet.source.clusters["c3"] = silent
        fleet.source.say(build_spec("c1"), build_spec("c3"))
        await fleet.until_state("c1", lambda _: "c3" in str(fleet.federation.list_clusters(EVERYTHING)))
        page = await list_pods(fleet.federation, mode=STALE)
        assert states(page) == {"c1": OutcomeState.OK, "c3": OutcomeState.UNREACHABLE}


async def test_strict_raises_the_error_of_the_missing_member(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", "c2") as fleet:
        fleet["c2"].answering.clear()
        await fleet.until_state("c2", lambda cluster: (cluster.age_seconds or 0) > OPTIONS.fresh_seconds)
        with pytest.raises(ClusterTimeout) as caught:
            await list_pods(fleet.federation, mode=STRICT)
        assert caught.value.cluster == "c2"
        fleet["c2"].answering.set()


async def test_a_page_out_of_bounds_is_refused_before_anyone_is_asked(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        with pytest.raises(InvalidQuery, match="10,000"):
            await list_pods(fleet.federation, page=PageRequest(10_001))


async def test_memory_alone_can_not_answer_what_is_of_usage(open_fleet: OpenFleet) -> None:
    cpu = build_column(UsageField.CPU_CORES)
    async with open_fleet("c1") as fleet:
        with pytest.raises(InvalidQuery, match="asked of a metric store"):
            await list_pods(fleet.federation, PodFilter(usage=(build_bound(cpu, gt=1),)))
        with pytest.raises(InvalidQuery, match="asked of a metric store"):
            await fleet.federation.list_page(NODES, EVERYTHING, NodeFilter(), (Order(cpu),), PageRequest(), PARTIAL)


async def test_one_pod_and_one_node_by_name(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        pod = await fleet.federation.get(PODS, SHOP, PodKey("c1", "shop", "p0"))
        node = await fleet.federation.get(NODES, EVERYTHING, NodeKey("c1", "n1"))
        assert (pod and pod.name, node and node.name) == ("p0", "n1")
        assert await fleet.federation.get(PODS, SHOP, PodKey("c1", "shop", "gone")) is None
        assert await fleet.federation.get(NODES, EVERYTHING, NodeKey("c1", "gone")) is None


async def test_requests_are_summed_over_pods_that_are_not_finished(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", pods=0) as fleet:

        def requested_in() -> Resources:
            return fleet.federation.requested_in(EVERYTHING, "c1") or NO_RESOURCES

        for number in range(3):
            fleet["c1"].put(build_pod("shop", f"p{number}", node="n1"))
        finished = build_pod("shop", "done", node="n1")
        finished["status"]["phase"] = "Succeeded"
        fleet["c1"].put(finished)
        fleet["c1"].put(build_pod("shop", "waiting", node=None))
        fleet["c1"].put(build_pod("shop", "elsewhere", node="n2"))
        await fleet.until_state("c1", lambda _: requested_in().pods == 4)
        asked = fleet.federation.requested_on(EVERYTHING, NodeKey("c1", "n1"))
        assert (asked.cpu_cores, asked.memory_bytes, asked.pods) == (0.3, 3 * 2**20, 3)
        assert requested_in().cpu_cores == 0.4
        assert fleet.federation.requested_on(EVERYTHING, NodeKey("nope", "n1")).pods is None


async def test_outcomes_ask_for_a_sign_of_life(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", "c2") as fleet:
        found = await fleet.federation.select(PODS, ONE_CLUSTER, PodFilter(), OnUnavailable.PARTIAL)
        assert [(outcome.cluster, outcome.state) for outcome in found.outcomes] == [("c1", OutcomeState.OK)]
