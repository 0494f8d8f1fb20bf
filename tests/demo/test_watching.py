"""Watches, as the API promises them."""

import pytest

from demo.simulator import SimulatedCluster, open_simulated_fleet
from demo.simulator.__main__ import run_command
from tests.demo.asking import Asker, build_config_map, open_member_asker

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


async def newest(asker: Asker) -> str:
    """The version a list has now."""
    version: str = (await asker.ask(CONFIG_MAPS)).body["metadata"]["resourceVersion"]
    return version


async def test_a_watch_from_a_list_s_version_shows_what_came_after_it(asker: Asker) -> None:
    version = await newest(asker)
    async with asker.watch(CONFIG_MAPS, resourceVersion=version) as events:
        await asker.send(CONFIG_MAPS, "POST", build_config_map("watched"))
        await asker.send(f"{CONFIG_MAPS}/watched", "PUT", build_config_map("watched", "2"))
        await asker.send(f"{CONFIG_MAPS}/watched", "DELETE")
        seen = [await events.next() for _ in range(3)]

    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert int(version) < versions[0] < versions[1] < versions[2]
    assert seen[2]["object"]["data"] == {"key": "2"}


async def test_a_watch_without_a_version_begins_with_what_is_there(asker: Asker) -> None:
    there = (await asker.ask(CONFIG_MAPS)).names

    async with asker.watch(CONFIG_MAPS) as events:
        seen = [await events.next() for _ in there]

    assert [(event["type"], event["object"]["metadata"]["name"]) for event in seen] == [
        ("ADDED", name) for name in there
    ]


async def test_entering_and_leaving_a_selection_are_added_and_deleted(asker: Asker) -> None:
    async with asker.watch(CONFIG_MAPS, labelSelector="color=red", resourceVersion=await newest(asker)) as events:
        await asker.send(CONFIG_MAPS, "POST", build_config_map("chameleon", labels={"color": "green"}))
        await asker.send(f"{CONFIG_MAPS}/chameleon", "PUT", build_config_map("chameleon", labels={"color": "red"}))
        await asker.send(f"{CONFIG_MAPS}/chameleon", "PUT", build_config_map("chameleon", labels={"color": "blue"}))
        seen = [(await events.next())["type"] for _ in range(2)]

    await asker.send(f"{CONFIG_MAPS}/chameleon", "DELETE")
    assert seen == ["ADDED", "DELETED"]


async def test_bookmarks_come_where_they_are_asked_for_and_name_the_version_reached(asker: Asker) -> None:
    version = await newest(asker)

    async with asker.watch(CONFIG_MAPS, allowWatchBookmarks="true", resourceVersion=version) as events:
        bookmark = await events.next()

    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["kind"] == "ConfigMap"
    assert bookmark["object"]["metadata"]["resourceVersion"] == version


async def test_initial_events_end_with_a_bookmark_that_says_so(asker: Asker) -> None:
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}

    async with asker.watch(CONFIG_MAPS, **query) as events:
        end = await events.of_type("BOOKMARK")

    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_ends_cleanly_when_its_time_is_up(asker: Asker) -> None:
    async with asker.watch(CONFIG_MAPS, timeoutSeconds="1", resourceVersion=await newest(asker)) as events:
        with pytest.raises(EOFError):
            await events.next()


async def test_an_expired_version_is_an_error_event(asker: Asker, member: SimulatedCluster) -> None:
    version = await newest(asker)
    await asker.send(CONFIG_MAPS, "POST", build_config_map("expired"))
    await asker.send(f"{CONFIG_MAPS}/expired", "DELETE")
    member.faults.expire_versions()

    async with asker.watch(CONFIG_MAPS, resourceVersion=version) as events:
        event = await events.next()

    assert events.status == 200
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_a_cluster_told_to_replaces_pods_beside_each_other() -> None:
    async with (
        open_simulated_fleet(clusters=1, pods=20) as fleet,
        open_member_asker(fleet["cluster1"]) as asker,
        asker.watch("/api/v1/pods", resourceVersion=await newest(asker)) as events,
    ):
        answer = await run_command(fleet, b'{"cluster": "cluster1", "fault": "churn", "seconds": 0.1}')
        kinds = []
        while "DELETED" not in kinds:
            kinds.append((await events.next())["type"])

    assert answer == "ok"
    assert kinds.count("ADDED") > 1


async def test_a_busy_cluster_replaces_a_pod_as_a_replica_set_does() -> None:
    async with (
        open_simulated_fleet(clusters=1, pods=20, churn_seconds=0.1) as fleet,
        open_member_asker(fleet["cluster1"]) as asker,
    ):
        version = (await asker.ask("/api/v1/pods")).body["metadata"]["resourceVersion"]
        async with asker.watch("/api/v1/pods", resourceVersion=version) as events:
            added = (await events.of_type("ADDED"))["object"]
            gone = (await events.of_type("DELETED"))["object"]
        running = (await asker.ask("/api/v1/pods", fieldSelector=f"metadata.name={added['metadata']['name']}")).body

    assert gone["metadata"]["deletionTimestamp"]
    assert added["metadata"]["generateName"] == gone["metadata"]["generateName"]
    assert running["items"][0]["spec"]["nodeName"].startswith("kube1-worker")
