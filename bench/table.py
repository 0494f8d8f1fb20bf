"""Rows as a table, in Markdown that also reads well in a terminal."""

from collections.abc import Sequence

from bench.row import Row

_HEAD = ("row", "ours", "anchor", "ratio", "spread", "better", "the anchor is")
_RIGHT = frozenset({"ours", "anchor", "ratio", "spread"})


def build_table(rows: Sequence[Row]) -> str:
    """A line a row: medians with their unit, ours to anchor, the smallest and largest ratio of a round."""
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


def _build_cells(row: Row) -> tuple[str, ...]:
    low, high = row.spread
    return (
        row.name,
        f"{format_amount(row.ours_median)} {row.unit}",
        f"{format_amount(row.anchor_median)} {row.unit}",
        f"{row.ratio:.2f}",
        f"{low:.2f}-{high:.2f}",
        "higher" if row.higher_is_better else "lower",
        row.against,
    )


def _pad(line: Sequence[str], widths: Sequence[int]) -> str:
    return _join(
        [
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for name, cell, width in zip(_HEAD, line, widths, strict=True)
        ]
    )


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
