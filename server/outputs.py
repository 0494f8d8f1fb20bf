"""Where else than to its file the collector writes, as the settings say. Libraries are imported by who needs them."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from fleet.metrics.influx.options import Dialect
from fleet.metrics.remote_write.options import RemoteWriteOptions
from fleet.ports import PointStore
from server.metric_store import build_influx_options
from server.settings.groups import Settings
from server.settings.metrics import MetricSettings


class Output(PointStore, Protocol):
    """Another server that takes points."""

    async def check(self) -> str:
        """Writes nothing, and says what would be written to. Raises MetricsUnavailable."""


def open_output(settings: Settings, name: str) -> AbstractAsyncContextManager[Output]:
    """`name` is one of `OUTPUTS` but embedded. Nothing is sent."""
    return (_open_remote_write if name == "remote-write" else _open_influx)(settings)


@asynccontextmanager
async def _open_remote_write(settings: Settings) -> AsyncIterator[Output]:
    from fleet.metrics.remote_write.writer import open_remote_writer

    options = build_remote_write_options(settings.metrics, settings.timeouts.member_timeout)
    async with open_remote_writer(options) as writer:
        yield writer


@asynccontextmanager
async def _open_influx(settings: Settings) -> AsyncIterator[Output]:
    from fleet.metrics.influx.writing import open_influx_writer

    metrics = settings.metrics
    dialect = Dialect.FLUX if metrics.influx_org is not None else Dialect.INFLUXQL
    options = build_influx_options(metrics, metrics.influx_address or "", settings.timeouts.member_timeout, dialect)
    async with open_influx_writer(options) as writer:
        yield writer


def build_remote_write_options(metrics: MetricSettings, timeout: float) -> RemoteWriteOptions:
    token, password = metrics.remote_write_token, metrics.remote_write_password
    return RemoteWriteOptions(
        url=metrics.remote_write_url or "",
        token=token.get_secret_value() if token else "",
        token_file=metrics.remote_write_token_file,
        username=metrics.remote_write_username or "",
        password=password.get_secret_value() if password else "",
        ca_file=metrics.remote_write_ca_file,
        cert_file=metrics.remote_write_cert_file,
        key_file=metrics.remote_write_key_file,
        tenant=metrics.remote_write_tenant or "",
        cluster_label=metrics.remote_write_cluster_label,
        timeout=timeout,
    )
