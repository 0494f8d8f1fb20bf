"""What waits to be published: the newest of each subject, and what comes back."""

from fleet.replication.outbox import TOMBSTONE, Outbox


def build(*subjects: str) -> Outbox:
    outbox = Outbox(lambda: None)
    for subject in subjects:
        outbox.put(subject, subject.encode())
    return outbox


def taken(outbox: Outbox) -> list[tuple[str, object]]:
    return [outbox.take() for _ in range(len(outbox))]


def test_of_each_subject_only_the_newest_waits_in_the_place_of_the_first() -> None:
    outbox = build("a", "b")
    outbox.put("a", TOMBSTONE)
    assert taken(outbox) == [("a", TOMBSTONE), ("b", b"b")]


def test_what_comes_back_goes_first_but_not_over_what_is_newer() -> None:
    outbox = build("a", "b", "c")
    sent = dict(outbox.take() for _ in range(2))
    outbox.put("b", b"newer")
    outbox.give_back({**sent, "z": b"z"})
    assert taken(outbox) == [("a", b"a"), ("z", b"z"), ("c", b"c"), ("b", b"newer")]


def test_whoever_publishes_is_told_of_what_waits() -> None:
    told: list[int] = []
    outbox = Outbox(lambda: told.append(1))
    outbox.put("a", b"a")
    outbox.discard("a")
    assert (told, len(outbox)) == ([1], 0)
