"""Lists that are built when they are read."""

from fleet.model.ordered import DeferredSequence, LazySequence


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
