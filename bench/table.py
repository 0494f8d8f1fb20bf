"""Rows as a table, in Markdown that also reads well in a terminal."""

from collections.abc import Sequence

from bench.row import Row

_HEAD = ("row", "ours", "anchor", "ratio", "spread", "better", "goal", "met", "the anchor is")
_RIGHT = frozenset({"ours", "anchor", "ratio", "spread"})
_MET = {True: "yes", False: "NO", None: ""}


def build_table(rows: Sequence[Row]) -> str:
    """A line a row: medians with their unit, ours to anchor, the smallest and largest ratio of a round, the goal.

    A row without an anchor shows the smallest and largest of its own samples as the spread.
    """
    cells = [_HEAD, *(_build_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    rule = [
        "-" * (width - 1) + ":" if name in _RIGHT else "-" * width for name, width in zip(_HEAD, widths, strict=True)
    ]
    lines = [_pad(cells[0], widths), _join(rule), *(_pad(line, widths) for line in cells[1:])]
    return "\n".join(lines) + "\n"


def format_amount(value: float) -> str:
    """Three significant digits, whole numbers from a hundred on: 0.0123, 4.56, 78.9, 1,234."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def format_ratio(value: float) -> str:
    """0.10 and more with two decimals, less as a part: 1.27, 0.45, 1/52.3."""
    return f"{value:.2f}" if value >= 0.1 or value == 0 else f"1/{format_amount(1 / value)}"


def _build_cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        f"{format_amount(row.ours_median)} {row.unit}",
        f"{format_amount(row.anchor_median)} {row.unit}" if row.anchor else "",
        format_ratio(row.ratio) if row.anchor else "",
        "-".join(map(format_ratio, row.spread)) if row.anchor else _build_range(row),
        "higher" if row.higher_is_better else "lower",
        row.goal.words if row.goal is not None else "",
        _MET[row.is_met],
        row.against,
    )


def _build_range(row: Row) -> str:
    return f"{format_amount(min(row.ours))}-{format_amount(max(row.ours))}"


def _pad(line: Sequence[str], widths: Sequence[int]) -> str:
    return _join(
        [
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for name, cell, width in zip(_HEAD, line, widths, strict=True)
        ]
    )


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
