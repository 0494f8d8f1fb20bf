"""Opens the store of an InfluxDB in the language that its options name.

Importing this brings urllib3 and the 393 modules of the client library, 12 MiB: not for whoever has no InfluxDB.
"""

import contextlib
from collections.abc import AsyncIterator

from fleet.metrics.influx.flux import FluxStore
from fleet.metrics.influx.influxql import InfluxqlStore
from fleet.metrics.influx.options import Dialect, InfluxOptions
from fleet.metrics.influx.pool import open_influx_pool
from fleet.ports import MetricStore

_STORES = {Dialect.INFLUXQL: InfluxqlStore, Dialect.FLUX: FluxStore}


@contextlib.asynccontextmanager
async def open_influx_store(options: InfluxOptions) -> AsyncIterator[MetricStore]:
    """Opens the store; nothing is sent until it is asked, so a server that is down is found by the first question."""
    async with open_influx_pool(options) as pool:
        yield _STORES[options.dialect](options, pool)
