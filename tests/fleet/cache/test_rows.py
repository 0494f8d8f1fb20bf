"""The order of a table that is read seldom."""

import random
import weakref

import pytest

from fleet.cache.rows import Rows, StoreKey
from fleet.cache.store import build_store
from fleet.model.kinds import PODS
from fleet.model.queries import PodFilter
from fleet.model.selectors import parse_label_selector
from fleet.model.visibility import EVERYTHING
from fleet.reads.filtering import MemberFilter
from tests.fakes.records import build_pod_record


class Thing:
    """Something whose end can be seen."""


@pytest.mark.parametrize("changes", [1, 10, 500, 5_000])
def test_what_changed_while_nobody_looked_is_in_order(changes: int) -> None:
    """Changes that are placed one by one, all at once, and those that are too many to be remembered."""
    dice = random.Random(changes)
    records: dict[StoreKey, int] = {}
    rows = Rows(records)
    for number in range(1_000):
        records[key := ("ns", f"{number:05}")] = number
        rows.note(key, number, new=True)
    for turn in range(3):
        for number in range(changes):
            key = ("ns", f"{dice.randrange(3_000):05}")
            if dice.random() < 0.3:
                if records.pop(key, None) is not None:
                    rows.note_gone(key)
            else:
                new = key not in records
                records[key] = turn * 10_000 + number
                rows.note(key, records[key], new=new)
        assert rows.all() == tuple(records[key] for key in sorted(records))


def test_what_came_and_went_while_nobody_looked_is_not_held() -> None:
    records: dict[StoreKey, Thing] = {}
    rows = Rows(records)
    seen: list[weakref.ref[Thing]] = []
    for number in range(5_000):
        key = ("ns", f"{number:05}")
        new = key not in records
        records[key] = Thing()
        rows.note(key, records[key], new=new)
        seen.append(weakref.ref(records[key]))
        if number >= 10:
            gone = ("ns", f"{number - 10:05}")
            del records[gone]
            rows.note_gone(gone)
    alive = sum(reference() is not None for reference in seen)
    assert alive < 1_500
    assert rows.all() == tuple(records.values())


def test_what_was_selected_stays_as_it_was() -> None:
    store = build_store(PODS)
    pods = [build_pod_record("c1", "x", name, labels=(("app", "web"),)) for name in "dbac"]
    for pod in pods:
        store.put(pod)
    store.put(build_pod_record("c1", "x", "other"))
    found = MemberFilter(PODS, PodFilter(labels=parse_label_selector("app=web")), EVERYTHING).find(store, "c1")
    store.discard(pods[0])
    store.put(build_pod_record("c1", "x", "aa", labels=(("app", "web"),)))
    assert len(found) == 4
    assert [pod.name for pod in found] == ["a", "b", "c", "d"]
