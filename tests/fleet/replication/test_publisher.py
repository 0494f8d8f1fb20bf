"""What a writer publishes, held against what its stores hold, on real servers."""

import json
import secrets
from collections.abc import Callable

from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleet.model.kube_objects import Event, Subject
from fleet.model.manifests import compress
from fleet.model.objects import Owner
from fleet.replication import records
from fleet.replication.marks import Mark, decode_mark
from realfleet.nats import NatsServer
from tests.fakes.records import build_pod_record, build_workload_record
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.replication.writing import (
    CLUSTER,
    SUBJECTS,
    build_member,
    build_pods,
    fill,
    fill_all,
    open_client,
    open_writer,
    read_stream,
)
from tests.required import both_versions


def build_event(number: int) -> Event:
    about = Subject(CLUSTER, "shop", "Pod", "p1", "u")
    return Event(
        namespace="shop",
        name=f"e{number}",
        type="Normal",
        reason="R",
        message="m",
        count=1,
        first_seen=0.0,
        last_seen=float(number),
        source=None,
        regarding=about,
    )


async def listen(client: Client) -> list[str]:
    """The subjects of all that is sent from now on, but for marks."""
    heard: list[str] = []

    async def note(message: Msg) -> None:
        if message.subject != SUBJECTS.mark:
            heard.append(message.subject)

    await client.subscribe(SUBJECTS.all, cb=note)
    await client.flush()
    return heard


@both_versions
async def test_a_stream_holds_what_the_stores_hold(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer, open_client(nats_server.url) as client:
        fill_all(writer.member, build_pods(3_000))
        writer.member.pods.drop(("shop", "p7"))
        assert await writer.publisher.drain(PATIENCE)
        held = await read_stream(client)
        assert held.equals(writer.member)
        assert held.of("pods")["p7"] is None
        assert (writer.publisher.pending, writer.publisher.refused, writer.publisher.problem) == (0, 0, None)


async def test_a_change_is_published_once_however_often_the_object_changed_meanwhile(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer, open_client(nats_server.url) as client:
        heard = await listen(client)
        for version in range(50):
            writer.member.pods.put(build_pods(1, str(version))[0])
        assert await writer.publisher.drain(PATIENCE)
        assert (await read_stream(client)).of("pods")["p0"].resource_version == "49"
        assert len(heard) == 1


async def test_a_new_writer_publishes_only_what_differs(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url, replica="a") as former:
        fill_all(former.member, build_pods(50))
        assert await former.publisher.drain(PATIENCE)
    follower = build_member()
    fill_all(follower, build_pods(50))
    async with open_client(nats_server.url) as client, open_writer(nats_server.url, follower, "b") as writer:
        heard = await listen(client)
        came = build_pod_record(CLUSTER, "shop", "new")
        fill_all(writer.member, [*build_pods(3, "2"), *build_pods(48)[3:], came])
        assert await writer.publisher.drain(PATIENCE)
        assert sorted(heard) == sorted(
            SUBJECTS.of("pods", ("shop", name)) for name in ("p0", "p1", "p2", "p48", "p49", "new")
        )
        assert (await read_stream(client)).equals(writer.member)


async def test_sums_of_pods_are_no_change_of_their_workload(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer, open_client(nats_server.url) as client:
        stores = writer.member.stores
        stores.marked_workloads.put(build_workload_record(CLUSTER, "shop", "web", kind="StatefulSet"))
        assert await writer.publisher.drain(PATIENCE)
        heard = await listen(client)
        for name in ("web", "bare"):
            owner = Owner("apps/v1", "StatefulSet", name, f"uid-StatefulSet-{name}")
            stores.pods.put(build_pod_record(CLUSTER, "shop", f"{name}-0", owner=owner))
        assert {workload.name: workload.pod_count for workload in stores.workloads} == {"web": 1, "bare": 1}
        assert await writer.publisher.drain(PATIENCE)
        stores.pods.put(build_pod_record(CLUSTER, "shop", "web-1", owner=owner))
        stores.marked_workloads.put(other := build_workload_record(CLUSTER, "shop", "other"))
        assert await writer.publisher.drain(PATIENCE)
        assert stores.marked_workloads.marks > 0  # and nobody pays for sums that nobody reads
        published = [subject for subject in heard if ".workloads." in subject]
        assert published == [SUBJECTS.of("workloads", ("shop", other.entry))]
        held = (await read_stream(client)).of("workloads")
        assert [workload.pod_count for workload in held.values()] == [0, 0]


async def test_events_that_fall_out_leave_the_stream_without_a_tombstone(nats_server: NatsServer) -> None:
    member = build_member(events_kept=3)
    async with open_writer(nats_server.url, member) as writer, open_client(nats_server.url) as client:
        fill(member.stores.events, map(build_event, range(3)))
        assert await writer.publisher.drain(PATIENCE)
        assert sorted((await read_stream(client)).of("events")) == ["e0", "e1", "e2"]
        heard = await listen(client)
        for number in range(3, 40):
            member.stores.events.put(build_event(number))
        newest = {f"e{number}": build_event(number) for number in (37, 38, 39)}

        async def holds_the_ring() -> bool:
            return (await read_stream(client)).of("events") == newest

        await until(holds_the_ring)
        assert all(subject.startswith(SUBJECTS.of("events", ("shop", "e"))) for subject in heard)


async def test_events_that_a_former_writer_left_go_as_well(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url, replica="a") as former:
        fill(former.member.stores.events, map(build_event, range(9)))
        assert await former.publisher.drain(PATIENCE)
    member = build_member(events_kept=3)
    fill(member.stores.events, map(build_event, range(9)))
    async with open_writer(nats_server.url, member, "b"), open_client(nats_server.url) as client:

        async def holds_the_ring() -> bool:
            return sorted((await read_stream(client)).of("events")) == ["e6", "e7", "e8"]

        await until(holds_the_ring)


async def test_a_mark_follows_each_second_and_is_complete_once_all_was_listed(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer, open_client(nats_server.url) as client:
        marks: list[Mark] = []

        async def note(message: Msg) -> None:
            marks.append(decode_mark(message.data))

        await client.subscribe(SUBJECTS.mark, cb=note)
        await until(lambda: len(marks) > 1)
        assert {(mark.writer, mark.complete, mark.age) for mark in marks} == {("a", False, None)}
        writer.member.health.note_seen()
        fill_all(writer.member, build_pods(10))
        await until(lambda: marks[-1].complete)
        assert marks[-1].age is not None
        assert marks[-1].standing == writer.member.standing()
        assert (await read_stream(client)).equals(writer.member)


async def test_usage_travels_with_the_rest(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer, open_client(nats_server.url) as client:
        bodies = [bytes((1,)) * 900_000, b"\x01 rest"]
        for _ in range(20):
            writer.publisher.publish_usage(bodies)
        assert await writer.publisher.drain(PATIENCE)
        held = await read_stream(client)
        assert [held.bodies[SUBJECTS.usage(chunk)] for chunk in range(2)] == bodies


async def test_what_is_too_large_goes_without_its_manifest_or_not_at_all(
    start_nats_server: Callable[..., NatsServer],
) -> None:
    server = start_nats_server(further="max_payload: 8192")
    manifest = compress(json.dumps({"spec": {"x": secrets.token_hex(8_000)}}).encode())
    pod = build_pod_record(CLUSTER, "shop", "p0")
    async with open_writer(server.url) as writer, open_client(server.url) as client:
        writer.member.pods.put(replace(pod, manifest=manifest))
        writer.member.pods.put(replace(pod, name="p1", status="x" * 10_000))
        assert await writer.publisher.drain(PATIENCE)
        assert (await read_stream(client)).of("pods") == {"p0": pod, "p1": None}


async def test_lists_of_the_member_are_counted(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer:
        target = writer.publisher.target("pods", writer.member.pods)
        fill(target, build_pods(2))
        target.put(build_pods(1, "2")[0])
        assert (writer.publisher.lists, len(writer.member.pods)) == (1, 2)
        assert writer.member.pods.get("shop", "p0") == build_pods(1, "2")[0]


async def test_all_is_published_again_in_another_form_before_a_mark_says_so(nats_server: NatsServer) -> None:
    this, following = records.NEWEST, records.NEWEST + 1
    heard: list[tuple[bool, int]] = []

    async def note(message: Msg) -> None:
        heard.append((message.subject == SUBJECTS.mark, message.data[0]))

    async with open_client(nats_server.url) as client:

        async def is_all(form: int) -> bool:
            bodies = (await read_stream(client)).bodies.values()
            return len(bodies) == 52 and {body[0] for body in bodies} == {form}

        async with open_writer(nats_server.url, form=following) as former:
            fill_all(former.member, build_pods(50))
            await until(lambda: is_all(following), what="another version's form")
        member = build_member()
        fill_all(member, build_pods(50))
        async with open_writer(nats_server.url, member, "b") as writer:
            await until(lambda: is_all(this), what="this version's form")
            await client.subscribe(SUBJECTS.all, cb=note)
            await client.flush()
            writer.form = following
            await until(lambda: (True, following) in heard, what="a mark of the other form")
            assert heard[: heard.index((True, following))].count((False, following)) == 51
