"""The tiers of the metric file: how points are kept by age, and which tier a window is answered from. Pure.

Times are Unix nanoseconds. Blocks of a tier are of periods that begin at multiples of their length; of such a period a
series has one block at most.
"""

from collections.abc import Mapping

from msgspec import Struct

from fleet.model.usage import NANOSECONDS, TimeRange

_MINUTE = 60 * NANOSECONDS
_HOUR = 60 * _MINUTE
EVER, NEVER = -(2**63), 2**63 - 1

MARGIN_NS = 15 * _MINUTE
"""How long points stay rows at least: later ones of that time cost nothing."""

SEALED_NS = 30 * _MINUTE
"""Of how much time rows become blocks at once; a multiple of all spans, and part of all periods."""

SLACK_NS = _HOUR
"""How much later than the newest point it is at most, for what is done by age: beyond it the clock is doubted."""


class Tier(Struct, frozen=True, gc=False):
    """`number` is the length of its spans in seconds, 0 for points as they are. `kept_ns` None: as long as any."""

    number: int
    period_ns: int
    kept_ns: int | None = None

    @property
    def table(self) -> str:
        """Its blocks, of a series and a period each."""
        return f"blocks_{self.number}"

    @property
    def span_ns(self) -> int:
        return self.number * NANOSECONDS

    def floor(self, time_ns: int) -> int:
        """The beginning of the period that has this time."""
        return time_ns // self.period_ns * self.period_ns


RAW = Tier(0, _HOUR, 2 * _HOUR)
ROLLED = (Tier(60, 4 * _HOUR, 24 * _HOUR), Tier(600, 84 * _HOUR))
TIERS = (RAW, *ROLLED)


class Keeping(Struct, frozen=True):
    """How long points are kept: `share` (at most 1) of what each tier is promised, where there is no room for all."""

    max_age_ns: int
    share: float = 1.0

    def used(self) -> list[Tier]:
        """The tiers that reach further back than the one before, finest first."""
        reaching = [None, *(tier.kept_ns for tier in TIERS)]
        return [
            tier for tier, before in zip(TIERS, reaching, strict=False) if before is None or before < self.max_age_ns
        ]

    def plan(self, now_ns: int) -> "Plan":
        begins = {tier.number: NEVER for tier in TIERS}
        for tier in self.used():
            kept = self.max_age_ns if tier.kept_ns is None else min(tier.kept_ns, self.max_age_ns)
            begins[tier.number] = tier.floor(now_ns - int(kept * self.share))
        return Plan(now_ns, now_ns - self.max_age_ns, (now_ns - MARGIN_NS) // SEALED_NS * SEALED_NS, begins)


class Plan(Struct, frozen=True):
    """What is kept at a time: nothing from before `oldest_ns`, and as rows nothing from before `border_ns`.

    A tier keeps, by its number, what is in periods that begin at `begins_ns` or later; one that is not used, nothing.
    """

    now_ns: int
    oldest_ns: int
    border_ns: int
    begins_ns: Mapping[int, int]


def choose_tier(window: TimeRange, reach: Mapping[int, int], lead_ns: int = 0) -> Tier:
    """The tier that a window is answered from; `reach` says by a tier's number from when on it has everything.

    Points as they are where these reach back to the start, and to the lead that counters count from; else the coarsest
    tier whose spans fit into steps; else the finest of those that reach; else, as none does, which reaches furthest.
    """
    if reach[RAW.number] <= window.start_ns - lead_ns:
        return RAW
    reaching = [tier for tier in ROLLED if reach[tier.number] <= window.start_ns]
    fitting = [tier for tier in reaching if window.step_ns % tier.span_ns == 0]
    if fitting:
        return fitting[-1]
    return reaching[0] if reaching else min(reversed(TIERS), key=lambda tier: reach[tier.number])
