"""A row: samples of ours and of an anchor, taken in turns, and what is said of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """One quantity, `ours[i]` and `anchor[i]` from the same round. `against` says in a few words what the anchor is.

    `higher_is_better` is for rates; times and memory are better when they are lower.
    """

    name: str
    unit: str
    ours: tuple[float, ...]
    anchor: tuple[float, ...]
    against: str
    higher_is_better: bool = False

    def __post_init__(self) -> None:
        if len(self.ours) != len(self.anchor) or not self.ours:
            raise ValueError(f"{self.name}: {len(self.ours)} samples of ours, {len(self.anchor)} of the anchor")

    @property
    def ours_median(self) -> float:
        return median(self.ours)

    @property
    def anchor_median(self) -> float:
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


def build_row(
    name: str,
    unit: str,
    ours: Sequence[float],
    anchor: Sequence[float],
    *,
    against: str,
    higher_is_better: bool = False,
) -> Row:
    """A row of samples. Raises ValueError where the sides have not the same number of samples, or none."""
    return Row(name, unit, tuple(ours), tuple(anchor), against, higher_is_better)
