"""What keeps going wrong is told at once, and then ever more rarely."""

from fleet.aio.complaints import MOST_KINDS, Complaints


def test_the_same_is_told_ever_more_rarely_and_another_kind_at_once() -> None:
    clock = [0.0]
    complaints = Complaints(first=10, last=40, clock=lambda: clock[0])
    told = []
    for second in range(200):
        clock[0] = float(second)
        if complaints.is_due("c1", "timeout" if second < 150 else "refused"):
            told.append(second)

    assert told == [0, 10, 30, 70, 110, 150, 160, 180]


def test_subjects_are_told_each_and_what_is_well_again_is_told_anew() -> None:
    complaints = Complaints()

    assert [complaints.is_due(name, "timeout") for name in ("c1", "c2", "c1")] == [True, True, False]
    assert [complaints.settle("c1"), complaints.settle("c1")] == [True, False]
    assert [complaints.is_due(name, "timeout") for name in ("c1", "c2")] == [True, False]


def test_kinds_that_take_turns_or_count_are_no_news() -> None:
    clock = [0.0]
    complaints = Complaints(first=1_000, clock=lambda: clock[0])
    turns = [complaints.is_due("c1", ("timeout", "refused")[second % 2]) for second in range(100)]
    counts = [complaints.is_due("c2", f"{second} tries") for second in range(100)]

    assert (turns.count(True), counts.count(True)) == (2, MOST_KINDS)
    clock[0] = 1_000.0
    assert complaints.is_due("c2", "101 tries")
