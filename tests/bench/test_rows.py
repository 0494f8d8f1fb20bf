"""What the table says of samples: medians, ratios, their spread, and the order in which sides take turns."""

import pytest

from bench.interleave import run_interleaved
from bench.load import build_load
from bench.row import Goal, amount, build_row, times_better, within
from bench.rows import SUBJECTS
from bench.table import build_table, format_amount, format_ratio


def test_a_row_compares_medians_and_not_means() -> None:
    row = build_row("page", "ms", [10, 11, 900, 12, 9], [22, 21, 23, 20, 24], against="stock")
    assert (row.ours_median, row.anchor_median, row.ratio) == (11, 22, 0.5)


def test_the_spread_is_of_the_ratios_of_single_rounds() -> None:
    row = build_row("page", "ms", [10, 40], [20, 20], against="stock")
    assert row.spread == (0.5, 2.0)


@pytest.mark.parametrize(("ours", "anchor"), [([1, 2], [1]), ([], [])])
def test_sides_without_the_same_number_of_samples_are_no_row(ours: list[float], anchor: list[float]) -> None:
    with pytest.raises(ValueError, match="samples"):
        build_row("page", "ms", ours, anchor, against="stock")


@pytest.mark.parametrize(
    ("ours", "anchor", "higher", "goal", "is_met"),
    [
        ([2.0], [120.0], False, times_better(60, "stock"), True),
        ([2.0], [119.0], False, times_better(60, "stock"), False),
        ([600.0], [10.0], True, times_better(60, "stock"), True),
        ([599.0], [10.0], True, times_better(60, "stock"), False),
        ([13.0], [10.0], False, within(1.3, "the store's"), True),
        ([13.1], [10.0], False, within(1.3, "the store's"), False),
        ([3.9], [10.0], True, within(0.4, "nginx"), False),
        ([10.0], [], False, amount(10, "ms"), True),
        ([10.1], [1.0], False, amount(10, "ms"), False),
        ([10.1], [1.0], True, amount(10, "/s"), True),
        ([10.1], [1.0], False, None, None),
    ],
)
def test_a_goal_is_met_or_not(
    ours: list[float], anchor: list[float], higher: bool, goal: Goal | None, is_met: bool | None
) -> None:
    row = build_row("page", "ms", ours, anchor, higher_is_better=higher, goal=goal)
    assert row.is_met is is_met


@pytest.mark.parametrize("goal", [None, times_better(60, "stock"), within(1.3, "the store's")])
def test_only_a_goal_that_is_an_amount_can_do_without_an_anchor(goal: Goal | None) -> None:
    with pytest.raises(ValueError, match="0 of the anchor"):
        build_row("page", "ms", [1.0], goal=goal)


def test_the_table_says_goals_and_whether_they_are_met() -> None:
    rows = [
        build_row("page", "ms", [2.0, 4.0, 2.0], [100.0, 100.0, 100.0], goal=times_better(60, "stock")),
        build_row("stall", "ms", [4.0, 5.0, 6.0], goal=amount(10, "ms")),
    ]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in build_table(rows).splitlines()[2:]]
    assert cells == [
        ["page", "2 ms", "100 ms", "1/50", "1/50-1/25", "lower", "60 x stock", "NO", ""],
        ["stall", "5 ms", "", "", "4-6", "lower", "10 ms", "yes", ""],
    ]


@pytest.mark.parametrize(("value", "text"), [(1.274, "1.27"), (0.1, "0.10"), (0.02, "1/50"), (0.0, "0.00")])
def test_small_ratios_are_parts(value: float, text: str) -> None:
    assert format_ratio(value) == text


async def test_sides_take_turns_and_swap_their_order_each_round() -> None:
    asked: list[str] = []

    async def ask(side: str) -> int:
        asked.append(side)
        return len(asked)

    samples = await run_interleaved({"ours": lambda: ask("ours"), "anchor": lambda: ask("anchor")}, rounds=3)
    assert asked == ["ours", "anchor", "anchor", "ours", "ours", "anchor"]
    assert samples == {"ours": [1, 4, 5], "anchor": [2, 3, 6]}


def test_the_table_has_a_line_a_row_and_columns_that_line_up() -> None:
    rows = [
        build_row("page", "ms", [5.0], [10.0], against="stock"),
        build_row("rate", "/s", [1500.0], [3000.0], against="asked directly", higher_is_better=True),
    ]
    lines = build_table(rows).splitlines()
    assert [cell.strip() for cell in lines[3].strip("|").split("|")] == [
        "rate", "1,500 /s", "3,000 /s", "0.50", "0.50-0.50", "higher", "", "", "asked directly",
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (4.561, "4.56"), (78.94, "78.9"), (99.96, "100"), (1234.4, "1,234")]
)
def test_amounts_have_three_digits_or_are_whole(value: float, text: str) -> None:
    assert format_amount(value) == text


def test_a_load_says_what_half_nearly_all_and_all_answers_stayed_within() -> None:
    load = build_load([float(number) for number in range(200, 0, -1)], seconds=4.0)
    assert (load.rate, load.p50, load.p99, load.longest) == (50.0, 100.5, 198.0, 200.0)


def test_every_subject_can_be_called() -> None:
    assert all(callable(measure) for measure in SUBJECTS.values())
