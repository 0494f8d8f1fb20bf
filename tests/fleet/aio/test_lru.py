from fleet.aio.lru import Lru


def test_what_nobody_asked_for_longest_goes_first() -> None:
    lru: Lru[str, int] = Lru(2)
    lru.put("a", 1)
    lru.put("b", 2)
    assert lru.get("a") == 1
    lru.put("c", 3)
    assert (lru.get("a"), lru.get("b"), lru.get("c"), len(lru)) == (1, None, 3, 2)


def test_weights_are_bounded_together_and_go_with_their_entries() -> None:
    lru: Lru[str, str] = Lru(most_weight=10)
    lru.put("a", "x", 4)
    lru.put("b", "y", 6)
    lru.put("b", "z", 5)  # replaced: its first weight counts no more
    assert (lru.weight, len(lru)) == (9, 2)
    lru.put("c", "w", 6)  # one has to go for it, and then both have to
    assert (lru.get("a"), lru.get("b"), lru.get("c"), lru.weight) == (None, None, "w", 6)


def test_what_is_too_heavy_alone_drives_out_nothing() -> None:
    lru: Lru[str, str] = Lru(most_weight=10)
    lru.put("a", "x", 4)
    lru.put("b", "y", 11)
    assert (lru.get("a"), lru.get("b"), lru.weight) == ("x", None, 4)


def test_what_is_cleared_weighs_nothing() -> None:
    lru: Lru[str, str] = Lru(most_weight=10)
    lru.put("a", "x", 4)
    lru.clear()
    assert (len(lru), lru.weight, lru.get("a")) == (0, 0, None)
