"""What the ops port tells of the metric file, of the process that writes it."""

from typing import TYPE_CHECKING

from fleet.metrics.embedded.extent import Extent
from fleet.model.usage import NANOSECONDS
from server.figures.exposition import build_family

if TYPE_CHECKING:
    from fleet.metrics.embedded.store import EmbeddedStore

_RESOLUTIONS = {0: "points", 60: "1m", 600: "10m"}


def build_file_exposition(store: "EmbeddedStore | None") -> str:
    """Empty where this process writes no file, and before it looked at its bounds once."""
    if store is None or store.extent is None:
        return ""
    damaged = [("", store.damages.count)]
    return build_extent_exposition(store.extent) + build_family(
        "openmcp_metric_file_damaged_blocks_total", "Blocks that could not be read.", damaged, "counter"
    )


def build_extent_exposition(extent: Extent) -> str:
    ages = [
        (f'{{resolution="{_RESOLUTIONS[number]}"}}', f"{(extent.now_ns - oldest_ns) / NANOSECONDS:.0f}")
        for number, oldest_ns in sorted(extent.oldest_ns.items())
    ]
    early = 0 if extent.early_since_ns is None else (extent.now_ns - extent.early_since_ns) / NANOSECONDS
    families = (
        ("bytes", "What the file takes.", [("", extent.bytes)]),
        ("max_bytes", "What it may take.", [("", extent.max_bytes)]),
        ("needed_bytes", "What would keep all points for as long as is set.", [("", extent.needed_bytes)]),
        ("oldest_seconds", "How far back it reaches, by what is kept of points.", ages),
        ("early_seconds", "For how long points have been dropped early, for want of room.", [("", f"{early:.0f}")]),
    )
    return "".join(build_family(f"openmcp_metric_file_{name}", words, samples) for name, words, samples in families)
