"""The source `clusterprofile` on a real hub: joined, changed, gone, rotated; what is wrong is its own member's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fleet.kubernetes.sources.cluster_profile import open_cluster_profile_source
from fleet.kubernetes.sources.host import HostAccess
from fleet.kubernetes.sources.host_source import HostSource
from fleet.model.errors import ClusterUnauthorized, ClusterUnreachable
from fleet.model.objects import ClusterRole
from fleet.ports import Call, Connection, MemberSpec
from realfleet.hub import open_hub
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.sources.following import Follower, Picture
from tests.fleet.kubernetes.sources.hub import NAMESPACE, Stage, build_stage

pytestmark = pytest.mark.real

# The member's API server by another of its names: what leads to one server is one cluster.
ELSEWHERE = {"tls-server-name": "localhost"}


@pytest.fixture(scope="module")
def hub_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_hub() as hub:
        yield build_stage(hub, tmp_path_factory.mktemp("hub"))


@pytest.fixture
def stage(hub_stage: Stage) -> Iterator[Stage]:
    """Without profiles, with the providers file as it was."""
    yield hub_stage
    hub_stage.delete_profiles()
    hub_stage.write_providers()


@asynccontextmanager
async def open_source(stage: Stage, namespace: str | None = None) -> AsyncIterator[tuple[HostSource, Follower]]:
    hub = HostAccess((stage.hub.kubeconfig,))
    opening = open_cluster_profile_source(hub, stage.providers_file, namespace=namespace, member_timeout=PATIENCE)
    async with opening as source:
        yield source, Follower(source)


async def ask(connection: Connection) -> int:
    return (await connection.request(Call("GET", "/api/v1/namespaces", timeout=PATIENCE))).status


def is_well(name: str) -> Any:
    def shows(picture: Picture) -> bool:
        return name in picture and picture[name].credential is not None

    return shows


async def test_joined_changed_and_gone(stage: Stage) -> None:
    async with open_source(stage) as (source, follower):
        assert await follower.until() == {}
        stage.put_profile("one")
        ill = (await follower.until(lambda picture: "one" in picture))["one"]
        assert ill.problem == (
            "ClusterProfile fleet/one: status.accessProviders is empty: its cluster manager (tests) has to say there "
            "how the cluster is reached"
        )
        stage.join("one")
        one = (await follower.until(is_well("one")))["one"]
        assert (one.role, one.problem) == (ClusterRole.MEMBER, None)
        connection = await source.open_connection(one)
        assert await ask(connection) == 200
        await connection.close()
        stage.put_profile("one", {"properties": [{"name": "topology.kubernetes.io/region", "value": "eu"}]})
        moved = (await follower.until(lambda picture: picture["one"].info.region == "eu"))["one"]
        assert dict(moved.labels) == {
            "env": "test",
            "topology.kubernetes.io/region": "eu",
            "x-k8s.io/cluster-manager": "tests",
        }
        assert moved.credential == one.credential
        stage.delete_profile("one")
        assert await follower.until(lambda picture: "one" not in picture) == {}
        with pytest.raises(ClusterUnreachable, match="no more"):
            await source.open_connection(moved)


async def test_a_token_that_ends_is_fetched_anew(stage: Stage) -> None:
    stage.join("one")
    async with open_source(stage) as (source, follower):
        connection = await source.open_connection((await follower.until(is_well("one")))["one"])
        runs = stage.count_runs("one")
        assert await ask(connection) == 200
        assert stage.count_runs("one") == runs  # it is kept from one call to the next
        stage.rotate("one")
        # The API server remembers a token for some seconds, also one that has ended.
        await until(lambda: _is_fetched_anew(connection, stage, runs), every=0.2)
        assert await ask(connection) == 200
        await connection.close()


async def _is_fetched_anew(connection: Connection, stage: Stage, runs: int) -> bool:
    try:
        await ask(connection)
    except ClusterUnauthorized:
        return False  # whoever asks next has a new one
    return stage.count_runs("one") > runs


async def test_a_cluster_that_moves_is_reached_at_the_new_place(stage: Stage) -> None:
    stage.join("one", server="https://127.0.0.1:1")
    stage.join("two", **ELSEWHERE)
    async with open_source(stage) as (source, follower):
        before = await follower.until(lambda picture: is_well("one")(picture) and is_well("two")(picture))
        stage.join("one")
        after = await follower.until(lambda picture: picture["one"].credential != before["one"].credential)
        assert after["two"] == before["two"]
        connection = await source.open_connection(after["one"])
        assert await ask(connection) == 200
        await connection.close()


async def test_the_providers_file_is_followed(stage: Stage) -> None:
    stage.join("one")
    stage.write_providers("another")
    async with open_source(stage) as (source, follower):
        ill = (await follower.until(lambda picture: "one" in picture))["one"]
        assert "none of its access providers (secretreader) is in " in (ill.problem or "")
        stage.write_providers()
        well = await follower.until(is_well("one"))
        stage.providers_file.write_text("{")
        await until(source.problems)
        assert "can't be used: it is neither JSON nor YAML" in source.problems()[0]
        stage.put_profile("two")
        beside = await follower.until(lambda picture: "two" in picture)
        assert beside["one"] == well["one"]  # what was known of the file stands
        stage.write_providers()
        await until(lambda: source.problems() == [])


async def test_a_plugin_that_fails_is_run_again(stage: Stage) -> None:
    stage.join("one")
    (stage.folder / "one").unlink()
    async with open_source(stage) as (_, follower):
        ill = (await follower.until(lambda picture: "one" in picture))["one"]
        assert (ill.problem or "").startswith("ClusterProfile fleet/one: exec plugin ")
        stage.rotate("one")
        await follower.until(is_well("one"))


async def test_a_plugin_that_hangs_holds_no_other_cluster_back(stage: Stage) -> None:
    hangs = stage.folder / "slow.hangs"
    hangs.touch()
    async with open_source(stage) as (_, follower):
        await follower.until()
        stage.join("slow", **ELSEWHERE)
        await until(lambda: stage.count_runs("slow") > 0)
        stage.join("one")
        assert list(await follower.until(is_well("one"))) == ["one"]
        stage.put_profile("slow", {"accessProviders": [stage.access("one", server="https://other:1")]}, "other")
        waiting = await follower.until(lambda picture: len(picture) > 1)
        assert set(waiting) == {"one", "other/slow"}  # the name is not free meanwhile
        hangs.unlink()
        assert set(await follower.until(is_well("slow"))) == {"one", "other/slow", "slow"}


async def test_what_is_wrong_with_one_changes_nothing_of_another(stage: Stage) -> None:
    stage.join("good")
    no_pem = {"certificate-authority-data": "YWJj"}
    condition = {"lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Gone", "message": "no word of it"}
    denied = {**condition, "type": "ControlPlaneHealthy", "status": "False"}
    bad: dict[str, tuple[dict[str, Any] | None, str]] = {
        "no-status": (None, "status.accessProviders is empty"),
        "unknown": ({"accessProviders": [{**stage.access("good"), "name": "x"}]}, "none of its access providers (x)"),
        "no-pem": ({"accessProviders": [stage.access("good", **no_pem)]}, "the CA bundle holds no PEM"),
        "no-token": ({"accessProviders": [stage.access("missing")]}, "exec plugin"),
        "nowhere": (
            {"accessProviders": [stage.access("good", server="nowhere:x")]},
            "server 'nowhere:x' is no URL; it must be https://",
        ),
    }
    async with open_source(stage) as (source, follower):
        before = (await follower.until(is_well("good")))["good"]
        for name, (status, _) in bad.items():
            stage.put_profile(name, status)
        stage.put_profile("offline", {"accessProviders": [stage.access("good", **ELSEWHERE)], "conditions": [denied]})
        stage.put_profile("good", {"accessProviders": [stage.access("good", server="https://other:1")]}, "other")
        stage.put_profile("unreachable", {"accessProviders": [stage.access("good", server="https://127.0.0.1:1")]})
        picture = await follower.until(is_well("unreachable"))
        for name, (_, words) in bad.items():
            assert (picture[name].problem or "").startswith(f"ClusterProfile {NAMESPACE}/{name}: ")
            assert words in (picture[name].problem or "")
        assert picture["offline"].offline == "ControlPlaneHealthy is False: no word of it"
        await _assert_unreachable(source, picture["unreachable"])
        assert picture["other/good"].problem == (
            "ClusterProfile other/good: ClusterProfile fleet/good has its name: name one of them otherwise"
        )
        assert picture["good"] == before


async def _assert_unreachable(source: HostSource, spec: MemberSpec) -> None:
    connection = await source.open_connection(spec)
    with pytest.raises(ClusterUnreachable):
        await ask(connection)
    await connection.close()


async def test_a_profile_for_each_namespace_is_the_same_cluster(stage: Stage) -> None:
    stage.join("one")
    stage.put_profile("one", {"accessProviders": [stage.access("one")]}, "other")
    async with open_source(stage) as (_, follower):
        both = await follower.until(is_well("one"))
        assert list(both) == ["one"]
        stage.put_profile("there", {"accessProviders": [stage.access("one")]}, "other")
        named = await follower.until(lambda picture: picture["one"].other_names == ("there",))
        assert list(named) == ["one"]
    async with open_source(stage, "other") as (_, follower):
        assert (await follower.until(is_well("one")))["one"].other_names == ("there",)


async def test_a_hub_without_the_kind_says_so(stage: Stage) -> None:
    kubeconfig = stage.hub.member.write_kubeconfig(stage.folder / "no-hub.yaml")
    async with open_cluster_profile_source(HostAccess((kubeconfig,)), stage.providers_file) as source:
        assert await Follower(source).until() == {}
        (problem,) = source.problems()
        assert problem == "/apis/multicluster.x-k8s.io/v1alpha1/clusterprofiles: the API server does not know this kind"


async def test_while_the_hub_is_away_what_is_known_stands(stage: Stage) -> None:
    stage.join("one")
    async with open_source(stage) as (source, follower):
        known = await follower.until(is_well("one"))
        await asyncio.to_thread(stage.hub.api.server.stop)
        try:
            await until(source.problems)
            connection = await source.open_connection(known["one"])
            assert await ask(connection) == 200
            await connection.close()
        finally:
            await asyncio.to_thread(stage.hub.api.server.start)
            await asyncio.to_thread(_wait_ready, stage)
        stage.join("two", **ELSEWHERE)
        after = await follower.until(is_well("two"))
        assert after["one"] == known["one"]


def _wait_ready(stage: Stage) -> None:
    stage.hub.servers.wait_until(stage.hub.api.client.is_ready, "the hub is ready again", PATIENCE)
