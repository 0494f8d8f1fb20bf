"""A figure: what it is called, what it means, and how it is read from what it is of.

Names are as Prometheus has them: https://prometheus.io/docs/practices/naming/. Labels are of bounded sets: never a
user, a path or any other text of a caller.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from fleet.aio.counts import BOUNDS, Calls, Durations

S = TypeVar("S")

Kind = Literal["gauge", "counter", "histogram", "summary", "info"]

Value = float | Durations | tuple[int, float] | dict[str, str] | None
"""A number; a histogram's durations; a summary's count and sum; the labels of an info. None: there is no sample."""

Samples = Iterable[tuple[tuple[str, ...], Value]]
"""Values by those of the labels."""

_BOUNDS = (*map(str, BOUNDS), "+Inf")


class Figure(NamedTuple, Generic[S]):
    """One family. `read` asks nobody, and takes less than a few milliseconds of the event loop."""

    name: str
    kind: Kind
    words: str
    read: Callable[[S], Samples]
    labels: tuple[str, ...] = ()


def one(value: Callable[[S], Value]) -> Callable[[S], Samples]:
    """For a figure without labels."""
    return lambda source: (((), value(source)),)


def outcomes_of(calls: Calls, known: Sequence[str], *labels: str) -> Iterator[tuple[tuple[str, ...], Value]]:
    """Each outcome, those that never were with 0, so that their first one is an increase."""
    for outcome in dict.fromkeys((*known, *calls.outcomes)):
        yield (*labels, outcome), calls.outcomes[outcome]


def read_families(figures: Iterable[Figure[S]], source: S) -> Iterator[Metric]:
    """The figures as they are now; those that do not apply are missing."""
    for figure in figures:
        family = build_family(figure)
        for labels, value in figure.read(source):
            if value is not None:
                _add(family, labels, value)
        if family.samples:
            yield family


def build_family(figure: Figure[S]) -> Metric:
    """Without a sample."""
    name, words, labels = figure.name, figure.words, figure.labels
    match figure.kind:
        case "gauge":
            return GaugeMetricFamily(name, words, labels=labels)
        case "counter":
            return CounterMetricFamily(name, words, labels=labels)
        case "histogram":
            return HistogramMetricFamily(name, words, labels=labels)
        case "summary":
            return SummaryMetricFamily(name, words, labels=labels)
        case "info":
            return InfoMetricFamily(name.removesuffix("_info"), words, labels=())


def _add(family: Metric, labels: tuple[str, ...], value: Value) -> None:
    match family, value:
        case HistogramMetricFamily(), Durations():
            family.add_metric(labels, list(zip(_BOUNDS, value.cumulated(), strict=True)), value.seconds)
        case SummaryMetricFamily(), (int(count), total):
            family.add_metric(labels, count, total)
        case InfoMetricFamily(), dict():
            family.add_metric((), value)
        case ((GaugeMetricFamily() | CounterMetricFamily()), int() | float()):
            family.add_metric(labels, value)
        case _:
            raise TypeError(f"{family.name} is a {family.type}, which {value!r} is not")
