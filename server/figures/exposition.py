"""The figures as Prometheus reads them: its text format (0.0.4), or OpenMetrics (1.0.0) for who asks for that."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping

from prometheus_client import GC_COLLECTOR, exposition
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from server.figures.own import collect_own
from server.figures.process import Serving
from server.lifespan import State

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_END = "# EOF\n"

_OF_PYTHON = (ProcessCollector(registry=None), GC_COLLECTOR)


class _Read(Collector):
    """Families that were read already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def pick_type(accept: str) -> str:
    """The content type of an answer. Who takes both gets OpenMetrics, as Prometheus wants it."""
    return OPENMETRICS if "application/openmetrics-text" in accept else TEXT


async def build_exposition(state: State, content_type: str, serving: Serving | None = None) -> str:
    """The figures of this process. The event loop turns between families, and a thread writes them."""
    families = [family async for family in _read(collect_own(state, serving))]
    return await asyncio.to_thread(write_exposition, families, content_type)


def write_exposition(families: list[Metric], content_type: str) -> str:
    """Families as text, and those of the process that the library knows."""
    everything = [*families, *(family for collector in _OF_PYTHON for family in collector.collect())]
    if content_type == OPENMETRICS:
        return str(openmetrics.generate_latest(_Read(everything)), "utf-8")  # type: ignore[no-untyped-call]  # the library's
    return exposition.generate_latest(_Read(everything)).decode()


async def _read(families: Iterable[Metric]) -> AsyncIterator[Metric]:
    for family in families:
        yield family
        await asyncio.sleep(0)


def merge_expositions(texts: Mapping[int, str]) -> str:
    """Those of several workers as one: each sample with a label `worker`.

    Families stay together, as both formats want it, with the words of the first that has them.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    ends = ""
    for number, text in texts.items():
        known = set(heads)
        family = ""
        for line in text.splitlines():
            if line == _END.rstrip():
                ends = _END
            elif line.startswith("#"):
                family = line.split(" ", 3)[2]
                if family not in known:
                    heads.setdefault(family, []).append(line)
            elif line:
                samples.setdefault(family, []).append(_label(line, number))
    return "".join(f"{line}\n" for family in heads for line in (*heads[family], *samples.get(family, ()))) + ends


def _label(sample: str, number: int) -> str:
    end = sample.index(" ")
    brace = sample.find("{", 0, end)
    if brace < 0:
        return f'{sample[:end]}{{worker="{number}"}}{sample[end:]}'
    return f'{sample[:brace]}{{worker="{number}",{sample[brace + 1 :]}'
