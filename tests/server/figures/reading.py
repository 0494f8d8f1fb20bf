"""Figures of a part of the server, as they are written."""

from collections.abc import Iterable
from typing import TypeVar

from server.figures.exposition import TEXT, write_exposition
from server.figures.figure import Figure, read_families

S = TypeVar("S")


def write(figures: Iterable[Figure[S]], source: S) -> str:
    """In Prometheus' text format, with those of the process behind them."""
    return write_exposition(list(read_families(figures, source)), TEXT)


def read_samples(text: str) -> dict[str, float]:
    """By name and labels, as they are written."""
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}
