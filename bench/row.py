"""A row: samples of ours and of an anchor, taken in turns, what is said of them, and the goal they are held to."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from statistics import median


class Scale(Enum):
    """What a goal's limit is a limit of."""

    TIMES_BETTER = auto()
    """How many times better than the anchor ours is, at least."""
    RATIO = auto()
    """Ours to the anchor: at most, or at least for a rate."""
    AMOUNT = auto()
    """Ours itself, in the row's unit: at most, or at least for a rate."""


@dataclass(frozen=True)
class Goal:
    """What a row is to reach. `words` say it in the table."""

    scale: Scale
    limit: float
    words: str


def times_better(limit: float, than: str) -> Goal:
    """At least so many times better than the anchor, such as `60 x stock`."""
    return Goal(Scale.TIMES_BETTER, limit, f"{limit:g} x {than}")


def within(limit: float, of: str) -> Goal:
    """At most so many times the anchor (at least, for a rate), such as `1.3 of the store's`."""
    return Goal(Scale.RATIO, limit, f"{limit:g} of {of}")


def amount(limit: float, unit: str) -> Goal:
    """At most so much (at least, for a rate), whatever the anchor."""
    return Goal(Scale.AMOUNT, limit, f"{limit:,g} {unit}")


@dataclass(frozen=True)
class Row:
    """One quantity, `ours[i]` and `anchor[i]` from the same round. `against` says in a few words what the anchor is.

    `higher_is_better` is for rates; times and memory are better when they are lower. A row whose goal is an amount may
    do without an anchor: its samples are none then.
    """

    name: str
    unit: str
    ours: tuple[float, ...]
    anchor: tuple[float, ...]
    against: str
    higher_is_better: bool = False
    goal: Goal | None = None

    def __post_init__(self) -> None:
        alone = not self.anchor and self.goal is not None and self.goal.scale is Scale.AMOUNT
        if (len(self.ours) != len(self.anchor) and not alone) or not self.ours:
            raise ValueError(f"{self.name}: {len(self.ours)} samples of ours, {len(self.anchor)} of the anchor")

    @property
    def ours_median(self) -> float:
        return median(self.ours)

    @property
    def anchor_median(self) -> float:
        """Raises statistics.StatisticsError for a row without an anchor, as do `ratio` and `spread`."""
        return median(self.anchor)

    @property
    def ratio(self) -> float:
        """Ours to the anchor, of the medians."""
        return self.ours_median / self.anchor_median

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest ratio of a single round."""
        ratios = [ours / anchor for ours, anchor in zip(self.ours, self.anchor, strict=True)]
        return min(ratios), max(ratios)

    @property
    def is_met(self) -> bool | None:
        """Whether the medians reach the goal; None where there is none."""
        if self.goal is None:
            return None
        limit = self.goal.limit
        if self.goal.scale is Scale.TIMES_BETTER:
            return (self.ratio if self.higher_is_better else 1 / self.ratio) >= limit
        value = self.ours_median if self.goal.scale is Scale.AMOUNT else self.ratio
        return value >= limit if self.higher_is_better else value <= limit


def build_row(
    name: str,
    unit: str,
    ours: Sequence[float],
    anchor: Sequence[float] = (),
    *,
    against: str = "",
    higher_is_better: bool = False,
    goal: Goal | None = None,
) -> Row:
    """A row of samples. Raises ValueError where the sides have not the same number of samples, or none.

    Only a row whose goal is an amount may be without an anchor.
    """
    return Row(name, unit, tuple(ours), tuple(anchor), against, higher_is_better, goal)
