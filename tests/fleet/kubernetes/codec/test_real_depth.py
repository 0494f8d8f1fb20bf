"""What is as deep as a real API server keeps it takes no list and no watch away."""

from typing import Any

import pytest

from fleet.kubernetes.codec.codec import PODS, EventType
from fleet.kubernetes.codec.pods import pod_details
from fleet.kubernetes.codec.tables import TABLE, TABLE_QUERY, TableCodec
from fleet.kubernetes.codec.watch import build_watch_query, iter_lines
from fleet.kubernetes.discovery import Served
from fleet.ports import Call
from realfleet.fleet import Fleet
from tests.fleet.kubernetes.codec.deep import build_deep_metadata, create_deep
from tests.fleet.kubernetes.codec.test_real_tables import PODS_PATH, open_member

pytestmark = pytest.mark.real


async def test_a_deep_pod_is_one_among_others(real_fleet: Fleet) -> None:
    member = real_fleet.members[0]
    spec: dict[str, Any] = {"schedulerName": "nobody", "containers": [{"name": "c", "image": "i"}]}
    manifest = {"kind": "Pod", "apiVersion": "v1", "metadata": build_deep_metadata("deep"), "spec": spec}
    async with open_member(member) as connection:
        await create_deep(connection, PODS_PATH, manifest)
        try:
            page = PODS.decode_list((await connection.request(Call("GET", PODS.path, 30))).body, "c")
            assert page.malformed == ()
            (pod,) = [record for record in page.records if record.name == "deep"]
            assert [container.name for container in pod_details(pod).containers] == ["c"]
            table = TableCodec(Served("v1", "Pod", "pods", True, frozenset()))
            call = Call("GET", PODS.path, 30, TABLE_QUERY, headers=((b"Accept", TABLE),))
            rows = table.read_list((await connection.request(call)).body).items or []
            assert len(table.build_records(rows, "c")[0]) == len(page.records)
            watch = Call("GET", PODS_PATH, 30, build_watch_query("0", 60))
            async with connection.open_stream(watch) as stream:
                async for line in iter_lines(stream.chunks()):
                    event = PODS.decode_event(line, "c")
                    assert event.type is EventType.ADDED, event.message
                    if event.record is not None and event.record.name == "deep":
                        break
        finally:
            member.kubectl("delete", "pod", "deep", "-n", "default", "--force")
