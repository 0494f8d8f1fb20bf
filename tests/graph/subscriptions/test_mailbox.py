"""A slow subscriber: bounded by the objects it follows, told what it skipped, and in nobody's way."""

import asyncio
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.enums import EventType
from graph.errors import Code
from graph.subscriptions.hub import LiveOptions
from graph.subscriptions.mailbox import Ended, Ending, Mailbox
from tests.fakes.kubernetes import build_pod
from tests.fakes.waiting import until
from tests.graph.subscriptions.serving import open_live

ADDED, MODIFIED, DELETED = EventType.ADDED, EventType.MODIFIED, EventType.DELETED


class Text:
    """A message that says its type and which one it is."""

    def __init__(self, number: int) -> None:
        self.number = number

    def text(self, type: EventType) -> str:  # noqa: A002 - as the port has it
        return json.dumps({"data": [type.value, self.number]})


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((ADDED,), ["ADDED", 0]),
        ((ADDED, MODIFIED), ["ADDED", 1]),
        ((ADDED, MODIFIED, DELETED), None),
        ((ADDED, DELETED, ADDED), ["ADDED", 2]),
        ((MODIFIED, MODIFIED), ["MODIFIED", 1]),
        ((MODIFIED, DELETED), ["DELETED", 1]),
        ((DELETED, ADDED), ["MODIFIED", 1]),
        ((DELETED, ADDED, DELETED), ["DELETED", 2]),
    ],
)
async def test_what_happened_to_an_object_becomes_one_message(
    events: tuple[EventType, ...], told: list[object] | None
) -> None:
    mailbox = Mailbox()
    for number, what in enumerate(events):
        mailbox.put("a", what, Text(number))
    mailbox.put("z", ADDED, Text(99))
    first = json.loads(await mailbox.take())
    assert first["data"] == (["ADDED", 99] if told is None else told)
    skipped = len(events) - (told is not None)
    assert first.get("extensions") == ({"coalesced": skipped} if skipped else None)


@given(st.lists(st.tuples(st.sampled_from(["change", "take"]), st.integers(0, 3), st.booleans()), max_size=60))
def test_whenever_one_takes_what_he_knows_becomes_the_truth(steps: list[tuple[str, int, bool]]) -> None:
    mailbox, truth, known = Mailbox(), dict[int, int](), dict[int, int]()

    async def take() -> None:
        kind, number = json.loads(await mailbox.take())["data"]
        key, version = divmod(number, 1000)
        assert (kind == "ADDED") is (key not in known)
        if kind == "DELETED":
            del known[key]
        else:
            known[key] = version

    async def run() -> None:
        for version, (what, key, goes) in enumerate(steps):
            if what == "take" and len(mailbox):
                await take()
            elif what == "change":
                kind = DELETED if goes and key in truth else MODIFIED if key in truth else ADDED
                mailbox.put(key, kind, Text(key * 1000 + version))
                if kind is DELETED:
                    del truth[key]
                else:
                    truth[key] = version
        while len(mailbox):
            await take()

    asyncio.run(run())
    assert known == truth


async def test_a_mailbox_never_holds_more_than_there_are_objects() -> None:
    mailbox = Mailbox()
    for number in range(10_000):
        mailbox.put(number % 7, MODIFIED, Text(number))
    assert len(mailbox) == 7
    assert json.loads(await mailbox.take())["extensions"] == {"coalesced": 9_993}
    assert "extensions" not in json.loads(await mailbox.take())


async def test_an_ended_mailbox_says_why() -> None:
    mailbox = Mailbox()
    mailbox.put("a", ADDED, Text(0))
    mailbox.end(Ending(Code.INTERNAL, "over"))
    with pytest.raises(Ended, match="over"):
        await mailbox.take()


async def test_one_who_takes_nothing_is_cut_off_and_nobody_waits_for_him() -> None:
    query = "subscription { podEvents { type pod { name manifest } } }"
    options = LiveOptions(stall_seconds=0.5)
    async with (
        open_live("c1", pods=1, options=options) as live,
        live.ready(query) as quick,
        live.ready(query) as lazy,
    ):
        lazy.connection.transport.pause_reading()  # its buffers fill, as those of a browser that hangs
        filling = "x" * 200_000
        for number in itertools.count():
            pod = build_pod("shop", "p0")
            pod["metadata"]["annotations"] = {"filling": filling, "turn": str(number)}
            live["c1"].put(pod)
            while f'"turn": "{number}"' not in json.dumps((await quick.next())["data"]):
                pass
            if live.hub.operations == 1:
                break
        assert number < 1000
        await until(lambda: len(live.hub.sessions) == 1)
        lazy.connection.transport.resume_reading()
        code, _ = await lazy.closing()
    assert code in (1006, 1013)  # 1006: the buffers were so full that the close frame did not fit


async def test_a_stream_of_events_that_nobody_reads_is_cut_off() -> None:
    query = "subscription { podEvents { type pod { name manifest } } }"
    options = LiveOptions(stall_seconds=0.5)
    async with (
        open_live("c1", pods=1, options=options) as live,
        live.ready(query) as quick,
        live.events(query),  # reads no more than fits into the client's own buffer
    ):
        await until(lambda: live.hub.operations == 2)
        for number in itertools.count():
            pod = build_pod("shop", "p0")
            pod["metadata"]["annotations"] = {"filling": "x" * 200_000, "turn": str(number)}
            live["c1"].put(pod)
            while f'"turn": "{number}"' not in json.dumps((await quick.next())["data"]):
                pass
            if live.hub.operations == 1:
                break
        await until(lambda: len(live.hub.sessions) == 1)


async def test_one_who_is_slow_ends_with_the_newest_state_and_knows_what_he_skipped() -> None:
    query = "subscription { podEvents { type pod { manifest } } }"
    async with open_live("c1", pods=1) as live, live.ready(query) as quick, live.ready(query) as slow:
        slow.connection.transport.pause_reading()
        for number in range(150):
            pod = build_pod("shop", "p0")
            pod["metadata"]["annotations"] = {"filling": "x" * 200_000, "turn": str(number)}
            live["c1"].put(pod)
            while f'"turn": "{number}"' not in json.dumps(await quick.next()):
                pass
        slow.connection.transport.resume_reading()
        skipped, turn, messages = 0, "", 0
        while turn != "149":
            payload = await slow.next()
            skipped += payload.get("extensions", {}).get("coalesced", 0)
            annotations = payload["data"]["podEvents"]["pod"]["manifest"]["metadata"].get("annotations", {})
            turn, messages = annotations.get("turn", ""), messages + 1
    assert skipped > 0
    assert messages + skipped >= 150
