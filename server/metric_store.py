"""The metric store that the settings name."""

import os
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fleet.metrics.influx.options import Dialect, InfluxOptions
from fleet.ports import MetricStore
from server.metric_file import DEFAULT_FILE
from server.settings.groups import Settings
from server.settings.metrics import MetricSettings

if TYPE_CHECKING:
    from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore

# What a store needs is imported with it, only for who has one: numpy for the metric file is 160 modules and 17 MiB, the
# client library of InfluxDB 393 and 12, and urllib3 comes with Prometheus.


def open_metric_store(settings: Settings, *, writes: bool = True) -> AbstractAsyncContextManager[MetricStore]:
    if settings.metrics.metric_store == "prometheus" and settings.metrics.prometheus_url is not None:
        return _open_prometheus(settings.metrics, settings.metrics.prometheus_url, settings.timeouts.member_timeout)
    if settings.metrics.metric_store != "embedded" and settings.metrics.influx_address is not None:
        return _open_influx(settings.metrics, settings.metrics.influx_address, settings.timeouts.member_timeout)
    options = _embedded_options(settings.metrics, settings.timeouts.member_timeout)
    from fleet.metrics.embedded.store import open_embedded_reader, open_embedded_store

    return open_embedded_store(options) if writes else open_embedded_reader(options)


def open_embedded(settings: Settings) -> AbstractAsyncContextManager["EmbeddedStore"]:
    """The metric file, to be written beside another store."""
    options = _embedded_options(settings.metrics, settings.timeouts.member_timeout)
    from fleet.metrics.embedded.store import open_embedded_store

    return open_embedded_store(options)


def prepare_metric_store(settings: Settings) -> None:
    """Makes the embedded store's file, where there is one: others may then read it. Raises MetricsUnavailable."""
    if settings.metrics.uses_file:
        options = _embedded_options(settings.metrics, settings.timeouts.member_timeout)
        from fleet.metrics.embedded.store import prepare_file

        prepare_file(options)


def _embedded_options(metrics: MetricSettings, timeout: float) -> "EmbeddedOptions":
    # Before numpy: its OpenBLAS starts a thread a core, of 40 MB of addresses each, for what is not done here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from fleet.metrics.embedded.store import EmbeddedOptions

    return EmbeddedOptions(
        path=metrics.embedded_file or DEFAULT_FILE.expanduser(),
        max_age=metrics.embedded_max_age,
        max_bytes=metrics.embedded_max_bytes,
        lookback=metrics.usage_lookback,
        timeout=timeout,
    )


def _open_prometheus(metrics: MetricSettings, url: str, timeout: float) -> AbstractAsyncContextManager[MetricStore]:
    from fleet.metrics.prometheus.opening import open_prometheus_store
    from fleet.metrics.prometheus.options import PrometheusOptions

    options = PrometheusOptions(
        url,
        token=metrics.prometheus_token.get_secret_value() if metrics.prometheus_token else "",
        token_file=metrics.prometheus_token_file,
        username=metrics.prometheus_username or "",
        password=metrics.prometheus_password.get_secret_value() if metrics.prometheus_password else "",
        ca_file=metrics.prometheus_ca_file,
        cert_file=metrics.prometheus_cert_file,
        key_file=metrics.prometheus_key_file,
        tenant=metrics.prometheus_tenant or "",
        cluster_label=metrics.prometheus_cluster_label,
        cluster_value=metrics.prometheus_cluster_value,
        only_cluster=metrics.prometheus_only_cluster or "",
        rate_window=metrics.prometheus_rate_window,
        recorded=metrics.prometheus_recorded,
        query_bytes=metrics.prometheus_query_bytes,
        timeout=timeout,
        lookback=metrics.usage_lookback,
    )
    return open_prometheus_store(options)


def _open_influx(metrics: MetricSettings, address: str, timeout: float) -> AbstractAsyncContextManager[MetricStore]:
    from fleet.metrics.influx.opening import open_influx_store

    return open_influx_store(build_influx_options(metrics, address, timeout, Dialect(metrics.metric_store)))


def build_influx_options(metrics: MetricSettings, address: str, timeout: float, dialect: Dialect) -> InfluxOptions:
    return InfluxOptions(
        url=address,
        database=metrics.influx_bucket if dialect is Dialect.FLUX else metrics.influx_database,
        username=metrics.influx_username or "",
        password=metrics.influx_password.get_secret_value() if metrics.influx_password else "",
        token=metrics.influx_token.get_secret_value() if metrics.influx_token else "",
        org=metrics.influx_org or "",
        dialect=dialect,
        timeout=timeout,
        lookback=metrics.usage_lookback,
    )
