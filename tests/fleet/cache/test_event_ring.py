"""The newest events of a member: what is kept, what falls out, and who is told."""

import random
import time

from fleet.cache.event_ring import AHEAD_SECONDS, EventRing
from fleet.cache.rows import StoreKey
from fleet.kubernetes.codec.codec import EVENTS, MAX_MESSAGE
from fleet.model.event_queries import position_of
from fleet.model.kube_objects import Event, Subject


def build(name: str, last_seen: float, *, count: int = 1, namespace: str = "shop") -> Event:
    return Event(
        namespace=namespace,
        name=name,
        type="Normal",
        reason="R",
        message="m",
        count=count,
        first_seen=0.0,
        last_seen=last_seen,
        source=None,
        regarding=Subject("c1", namespace, "Pod", "p", "u"),
    )


def names(ring: EventRing) -> list[str]:
    return [event.name for event in ring.newest()]


def listed(ring: EventRing, *events: Event) -> None:
    staged = ring.stage()
    staged.add(events)
    staged.commit()


def test_an_event_that_repeats_moves_to_its_newest_time() -> None:
    ring = EventRing(10)
    for event in (build("a", 1), build("b", 2), build("a", 3, count=2)):
        ring.put(event)
    assert [(event.name, event.count) for event in ring.newest()] == [("a", 2), ("b", 1)]


def test_the_oldest_fall_out_and_are_told() -> None:
    ring = EventRing(3)
    listed(ring, *(build(f"e{number}", number) for number in (5, 1, 4, 2, 3)))
    assert (names(ring), ring.dropped, ring.complete_since) == (["e5", "e4", "e3"], 2, 2)
    ring.put(build("e6", 6))
    assert (names(ring), ring.dropped, ring.complete_since) == (["e6", "e5", "e4"], 3, 3)


def test_whoever_asks_is_told_what_falls_out() -> None:
    ring, gone = EventRing(2), list[StoreKey]()
    ring.on_dropped = gone.append
    listed(ring, build("e1", 1), build("e2", 2))
    ring.put(build("e3", 3))
    ring.put(build("e0", 0))
    assert gone == [("shop", "e1"), ("shop", "e0")]


def test_what_fell_out_is_not_counted_again_when_it_is_listed_again() -> None:
    ring = EventRing(3)
    events = [build(f"e{number}", number) for number in range(6)]
    for _ in range(3):
        listed(ring, *events)
    assert (names(ring), ring.dropped) == (["e5", "e4", "e3"], 3)


def test_what_the_member_forgets_is_kept() -> None:
    ring = EventRing(10)
    listed(ring, build("a", 1), build("b", 2))
    ring.discard(build("a", 1))
    listed(ring, build("c", 3))
    assert names(ring) == ["c", "b", "a"]


def test_a_listener_hears_of_news_alone() -> None:
    ring, heard = EventRing(2), list[object]()
    unlisten = ring.listen(heard.append)
    listed(ring, build("a", 1), build("b", 2))
    assert heard == [None]
    listed(ring, build("a", 1), build("b", 2), build("c", 3), build("old", 0))
    ring.put(build("c", 3))
    ring.put(build("c", 4, count=2))
    assert heard == [None, ("shop", "c"), ("shop", "c")]
    unlisten()
    ring.put(build("d", 5))
    assert len(heard) == 3


def test_any_sequence_leaves_the_newest_in_order() -> None:
    rng = random.Random(7)
    ring, last = EventRing(20), dict[str, Event]()
    for at in range(2_000):
        event = build(f"e{rng.randrange(60)}", float(at), count=at)
        ring.put(event)
        last[event.name] = event
        wanted = sorted(last.values(), key=position_of, reverse=True)[:20]
        assert list(ring.newest()) == wanted
    middle = wanted[10]
    assert list(ring.newest(before=position_of(middle))) == wanted[11:]
    assert list(ring.newest(since=middle.last_seen)) == wanted[:11]


def test_a_message_without_end_is_cut() -> None:
    raw = b'{"metadata":{"name":"a","namespace":"n"},"involvedObject":{},"message":"%s"}' % (b"x" * 100_000)
    message = EVENTS.build(raw, "c1").message
    assert (len(message) < MAX_MESSAGE + 20, message.endswith("x... [cut]")) == (True, True)


def test_events_of_the_future_are_pushed_out_by_those_that_happen() -> None:
    ring, heard, begun = EventRing(3), list[object](), time.time()
    listed(ring, *(build(f"f{number}", 9e9) for number in range(3)))
    ring.listen(heard.append)
    listed(ring, *(build(f"f{number}", 9e9) for number in range(3)))  # nothing new
    assert heard == []
    ring.put(build("f0", 9e9, count=2))
    assert heard == [("shop", "f0")]
    assert all(begun <= (event.last_seen or 0) <= time.time() for event in ring.newest())
    for number in range(3):
        ring.put(build(f"e{number}", begun + AHEAD_SECONDS - 10 + number))
    assert names(ring) == ["e2", "e1", "e0"]
