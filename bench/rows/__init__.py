"""What is measured: a module a subject, each with `async measure(rounds) -> list[Row]`."""

from collections.abc import Awaitable, Callable, Mapping

from bench.row import Row
from bench.rows import cache, live, pass_through, pod_page, proxies, real_pass_through

Measure = Callable[[int], Awaitable[list[Row]]]
"""Takes that many interleaved samples of each side. Raises Skipped where what it needs is not there."""

SUBJECTS: Mapping[str, Measure] = {
    "cache": cache.measure,
    "pod_page": pod_page.measure,
    "pass_through": pass_through.measure,
    "proxies": proxies.measure,
    "real_pass_through": real_pass_through.measure,
    "live": live.measure,
}
"""In the table's order. A new subject is a module and a line here."""
