"""Lists that are built when they are read, and objects in order."""

from fleet.model.ordered import DeferredSequence, LazySequence, Ordered
from tests.fakes.records import build_pod_record


def test_an_entry_is_built_whenever_it_is_read_and_no_other_is() -> None:
    built: list[int] = []

    def build(number: int) -> str:
        built.append(number)
        return f"e{number}"

    entries = LazySequence(build, range(10))
    assert (len(entries), entries[3], list(entries[5:7]), entries[-1]) == (10, "e3", ["e5", "e6"], "e9")
    assert built == [3, 5, 6, 9]
    assert list(entries) == [f"e{number}" for number in range(10)]


def test_all_entries_are_made_once_when_the_first_is_read() -> None:
    made: list[str] = []

    def make() -> list[str]:
        made.append("now")
        return ["a", "b", "c"]

    entries = DeferredSequence(3, make)
    assert (len(entries), made) == (3, [])
    assert (entries[0], list(entries[1:]), list(entries), made) == ("a", ["b", "c"], ["a", "b", "c"], ["now"])


def test_slices_are_of_one_cluster_each_and_a_part_that_is_one_is_not_copied() -> None:
    pods = [build_pod_record(cluster, "x", name) for cluster, name in ("aa", "ab", "ba", "ca", "cb", "da")]
    mixed, alone = pods[:4], pods[4:5]
    slices = list(Ordered((mixed, alone, pods[5:])).by_cluster())
    assert slices == [("a", pods[:2]), ("b", pods[2:3]), ("c", pods[3:4]), ("c", alone), ("d", pods[5:])]
    assert slices[3][1] is alone
