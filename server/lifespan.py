"""Opens everything the server works with, and closes it by leaving the `with`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import NotRequired, TypedDict

from auth.authenticator import Authenticator, AuthOptions, open_authenticator
from fleet.federation import Federation
from fleet.held_usage import HeldUsage
from fleet.kubernetes.kubeconfig import open_kubeconfig_source
from fleet.kubernetes.kubefed import HostAccess, open_kubefed_source
from fleet.members import FleetOptions, open_federation
from fleet.metrics.embedded import EmbeddedOptions, open_embedded_store
from fleet.metrics.influxql import InfluxOptions, open_influxql_store
from fleet.ports import MemberSource, MetricStore
from graph.limits import Limits
from server.environment import SettingsInvalid
from server.settings import NO_SIGNING_KEY, AuthSettings, LimitSettings, MetricSettings, Settings


class State(TypedDict):
    """What a request finds in `request.state`. `request_timeout` is in seconds; the rest has defaults."""

    federation: Federation
    metric_store: MetricStore
    authenticator: Authenticator
    request_timeout: float
    limits: NotRequired[Limits]
    held_usage: NotRequired[HeldUsage]


OpenState = Callable[[Settings], AbstractAsyncContextManager[State]]


@asynccontextmanager
async def open_state(settings: Settings) -> AsyncIterator[State]:
    """Users, metric store, clusters. Raises SettingsInvalid, AuthError, FleetError where they can't be opened."""
    async with AsyncExitStack() as stack:
        authenticator = await stack.enter_async_context(open_authenticator(build_auth_options(settings.auth)))
        metric_store = await stack.enter_async_context(open_metric_store(settings))
        source = await stack.enter_async_context(open_source(settings))
        options = FleetOptions(
            member_timeout=settings.timeouts.member_timeout, heartbeat_seconds=settings.timeouts.heartbeat
        )
        federation = await stack.enter_async_context(open_federation(source, options))
        yield State(
            federation=federation,
            metric_store=metric_store,
            authenticator=authenticator,
            request_timeout=settings.timeouts.request_timeout,
            limits=build_limits(settings.limits),
            held_usage=HeldUsage(metric_store, federation.pods_of, max_age=settings.metrics.usage_max_age),
        )


def build_limits(settings: LimitSettings) -> Limits:
    """What the graph lets a request ask for."""
    return Limits(
        depth=settings.max_depth,
        aliases=settings.max_aliases,
        directives=settings.max_directives,
        tokens=settings.max_tokens,
        characters=settings.max_characters,
        spreads=settings.max_fragment_spreads,
        nested=settings.max_nested_lists,
        body=settings.max_body,
        cost=settings.max_cost,
    )


def build_auth_options(settings: AuthSettings) -> AuthOptions:
    """What the authenticator is opened with. Raises SettingsInvalid without a signing key."""
    if settings.signing_key is None:
        raise SettingsInvalid([NO_SIGNING_KEY])
    administrator = None
    if settings.user_name is not None and settings.user_password is not None:
        administrator = (settings.user_name, settings.user_password.get_secret_value())
    return AuthOptions(
        signing_key=settings.signing_key.get_secret_value().encode(),
        token_lifetime=int(settings.token_lifetime),
        users_file=settings.users_file,
        administrator=administrator,
    )


def open_source(settings: Settings) -> AbstractAsyncContextManager[MemberSource]:
    """The source of clusters that the settings name."""
    clusters, timeout = settings.clusters, settings.timeouts.member_timeout
    if clusters.cluster_source == "kubeconfig":
        return open_kubeconfig_source(clusters.kubeconfig, host_context=clusters.host_context, member_timeout=timeout)
    return open_kubefed_source(
        HostAccess(kubeconfig=clusters.kubeconfig, context=clusters.host_context),
        namespace=clusters.kubefed_namespace,
        platform_namespace=clusters.platform_namespace,
        member_timeout=timeout,
    )


def open_metric_store(settings: Settings) -> AbstractAsyncContextManager[MetricStore]:
    """The metric store that the settings name."""
    metrics = settings.metrics
    address = metrics.influx_address
    if metrics.metric_store == "influxql" and address is not None:
        return open_influxql_store(_influx_options(metrics, address, settings.timeouts.member_timeout))
    metrics.embedded_file.parent.mkdir(parents=True, exist_ok=True)
    return open_embedded_store(
        EmbeddedOptions(
            path=metrics.embedded_file,
            max_age=metrics.embedded_max_age,
            max_bytes=metrics.embedded_max_bytes,
            lookback=metrics.usage_lookback,
            timeout=settings.timeouts.member_timeout,
        )
    )


def _influx_options(metrics: MetricSettings, address: str, timeout: float) -> InfluxOptions:
    return InfluxOptions(
        url=address,
        database=metrics.influx_database,
        username=metrics.influx_username or "",
        password=metrics.influx_password.get_secret_value() if metrics.influx_password else "",
        timeout=timeout,
        lookback=metrics.usage_lookback,
    )
