"""Bounds of a number: between which ends it has to be."""

import math
import operator
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from fleet.model.errors import InvalidQuery


class Bounds(Struct, frozen=True):
    """All ends that are given hold."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None

    def holds(self, value: float) -> bool:
        return (
            (self.gt is None or value > self.gt)
            and (self.gte is None or value >= self.gte)
            and (self.lt is None or value < self.lt)
            and (self.lte is None or value <= self.lte)
        )

    def matches(self, values: Sequence[Any]) -> list[bool]:
        """Which of the values are within, each of them a number or None."""
        ends = ((operator.gt, self.gt), (operator.ge, self.gte), (operator.lt, self.lt), (operator.le, self.lte))
        within = [value is not None for value in values]
        for holds, end in ends:
            if end is not None:
                within = [known and holds(value, end) for known, value in zip(within, values, strict=True)]
        return within


def build_bounds(
    name: str,
    *,
    gt: float | None = None,
    gte: float | None = None,
    lt: float | None = None,
    lte: float | None = None,
) -> Bounds:
    """Bounds that something can be within; `name` says what they are of. Raises InvalidQuery."""
    given = [value for value in (gt, gte, lt, lte) if value is not None]
    if not given:
        raise InvalidQuery(f"a bound of {name} needs one of `gt`, `gte`, `lt` and `lte`")
    if not all(math.isfinite(value) for value in given):
        raise InvalidQuery(f"a bound of {name} has to be a finite number")
    lowest = max((value for value in (gt, gte) if value is not None), default=-math.inf)
    highest = min((value for value in (lt, lte) if value is not None), default=math.inf)
    if lowest > highest or (lowest == highest and (lowest == gt or highest == lt)):
        raise InvalidQuery(
            f"nothing is within the bound of {name}: its lower end {lowest} is not below its upper end {highest}"
        )
    return Bounds(gt, gte, lt, lte)
