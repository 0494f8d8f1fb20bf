"""Opens the store of a Prometheus."""

import contextlib
from collections.abc import AsyncIterator

from fleet.metrics.prometheus.asking import open_asking
from fleet.metrics.prometheus.options import PrometheusOptions
from fleet.metrics.prometheus.store import PrometheusStore
from fleet.ports import MetricStore


@contextlib.asynccontextmanager
async def open_prometheus_store(options: PrometheusOptions) -> AsyncIterator[MetricStore]:
    """Opens the store; nothing is sent until it is asked, so a server that is down is found by the first question."""
    async with open_asking(options) as asking:
        yield PrometheusStore(asking)
