"""The demo: a simulated fleet, and the server in front of it, on loopback only."""

import asyncio
import contextlib
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct
from pydantic import SecretStr

from demo.child import ChildFleet, SimulatorError, open_child_fleet
from demo.feeder import Feeder
from demo.metric_server import MetricServerKind, NoMetricServer, open_metric_server
from fleet.aio.tasks import open_task
from fleet.federation import Federation
from fleet.metrics.embedded.store import EmbeddedStore
from fleet.metrics.remote_write.options import RemoteWriteOptions
from fleet.metrics.remote_write.writer import open_remote_writer
from fleet.model.errors import ClusterUnreachable, FleetError
from fleet.model.visibility import EVERYTHING
from fleet.ports import PointStore
from server.event_loop import new_event_loop
from server.lifespan import OpenState, State, open_state
from server.logs import configure_logging
from server.progress import open_progress
from server.serve import Listening, run_server
from server.settings.clusters import ClusterSettings
from server.settings.environment import SettingsInvalid
from server.settings.groups import (
    AuthSettings,
    HttpSettings,
    LoggingSettings,
    Settings,
    TimeoutSettings,
)
from server.settings.metrics import MetricSettings

LOOPBACK = "127.0.0.1"
USER = "openmcp"
PASSWORD = "keti"  # noqa: S105 - that of the documented examples, made public long ago; it opens nothing but the demo
HOST_CONTEXT = "openmcp"
_SYNC_SECONDS = 30.0
_ILL_SECONDS = 30.0
_WRITE_SECONDS = 30.0
_WELCOME = """
{members} clusters with {pods} pods each, simulated, and the server in front of them.

  GraphiQL   {url}/graphql
  user       {user}
  password   {password}
{ill}
  TOKEN=$(curl -s '{url}/token?username={user}&password={password}' | cut -d'"' -f4)
  curl -s -H "Authorization: Bearer $TOKEN" '{url}/api/v1/namespaces/default/pods?clustername=cluster1'
  curl -s -H "Authorization: Bearer $TOKEN" '{url}/metrics/nodes/kube1-worker1?clustername=cluster1'
  curl -s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' {url}/graphql \\
    -d '{{"query": "{{ pods(first: 3) {{ items {{ name usage {{ cpuCores }} }} clusters {{ name state }} }} }}"}}'

Ctrl-C ends it.
"""
_ILL = """
{name} is ill on purpose: it accepts connections and never answers, so that partial answers can be seen.
"""


class DemoPlan(Struct, frozen=True):
    """How large the demo is. `clusters` counts members, `pods` a member's; `metrics` is None for the embedded store."""

    clusters: int
    pods: int
    metrics: MetricServerKind | None = None

    @property
    def ill(self) -> str | None:
        """The member that hangs: the last one, where another is left that does not."""
        return f"cluster{self.clusters}" if self.clusters > 1 else None


def run_demo(clusters: int, pods: int, port: int, metrics: str) -> None:
    """Runs the demo until Ctrl-C or SIGTERM, then returns. `clusters` counts members, `pods` a member's.

    `metrics` is `embedded` or a `MetricServerKind`.

    Port 0 is any free one. Exits with a message where the port is taken or the fleet does not start.
    """
    plan = DemoPlan(clusters, pods, None if metrics == "embedded" else MetricServerKind(metrics))
    with tempfile.TemporaryDirectory(prefix="openmcp-demo-") as folder:
        settings = build_settings(Path(folder) / "usage.sqlite", port)
        configure_logging(settings.logging)
        try:
            with ExitStack() as waiting, asyncio.Runner(loop_factory=new_event_loop) as runner:
                _say(f"starting {clusters} simulated clusters with {pods} pods each, and an hour of their usage ...\n")
                progress = waiting.enter_context(open_progress())

                def say_welcome(listening: Listening) -> None:
                    waiting.close()
                    _welcome(plan, listening)

                opened = build_open_state(plan, Path(folder), progress)
                runner.run(run_server(settings, opened, on_listening=say_welcome))
        except asyncio.CancelledError:
            return  # ended while it was still starting
        except SettingsInvalid as error:
            reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
            sys.exit(f"port {port} of {LOOPBACK} can't be used: {reason}; take another: --port N, make demo PORT=N")
        except (SimulatorError, NoMetricServer, FleetError) as error:
            sys.exit(f"the demo did not start: {error}")


def build_settings(usage_file: Path, port: int) -> Settings:
    """What the server is told; the signing key is another one each time."""
    key = SecretStr(secrets.token_hex(32))
    return Settings(
        http=HttpSettings(host=LOOPBACK, port=port, ops_port=0, shutdown_grace=1.0, shutdown_drain=0.0),
        auth=AuthSettings(signing_key=key, user_name=USER, user_password=SecretStr(PASSWORD)),
        clusters=ClusterSettings(cluster_source=("kubefed",), host_context=HOST_CONTEXT),
        metrics=MetricSettings(metric_store="embedded", embedded_file=usage_file, collect_interval=0.0),
        timeouts=TimeoutSettings(member_timeout=1.5),
        logging=LoggingSettings(log_level="error"),
    )


def build_open_state(plan: DemoPlan, folder: Path, say: Callable[[str], None] = lambda _: None) -> OpenState:
    """An `open_state` that starts the fleet first, and feeds the metric store while the server runs."""

    @asynccontextmanager
    async def open_demo_state(settings: Settings) -> AsyncIterator[State]:
        async with AsyncExitStack() as stack:
            say(f"starting {plan.clusters} API servers")
            fleet = await stack.enter_async_context(open_child_fleet(plan.clusters, plan.pods))
            clusters = settings.clusters.model_copy(update={"kubeconfig": (fleet.kubeconfig,)})
            settings = settings.model_copy(update={"clusters": clusters})
            writer: PointStore | None = None
            if plan.metrics is not None:
                say(f"starting {plan.metrics.value}")
                url = await stack.enter_async_context(open_metric_server(plan.metrics, folder))
                settings = _read_from(settings, url)
                _say(f"usage is written to {url}, and read from there\n")
                options = RemoteWriteOptions(f"{url}/api/v1/write", timeout=_WRITE_SECONDS)
                writer = await stack.enter_async_context(open_remote_writer(options))
            state = await stack.enter_async_context(open_state(settings))
            feeder = await _fill(state, fleet, plan.ill, writer or _embedded(state), say)
            await stack.enter_async_context(open_task("feed usage", feeder.run))
            yield state

    return open_demo_state


def _read_from(settings: Settings, url: str) -> Settings:
    """Usage and history come from a Prometheus at this URL, by the names that the fleet's own collectors write."""
    changes = {"metric_store": "prometheus", "prometheus_url": url, "prometheus_recorded": True}
    return settings.model_copy(update={"metrics": settings.metrics.model_copy(update=changes)})


def _embedded(state: State) -> EmbeddedStore:
    store = state["metric_store"]
    if not isinstance(store, EmbeddedStore):
        raise SimulatorError(f"the demo writes into the embedded metric store, not into {store.name}")
    return store


async def _fill(
    state: State, fleet: ChildFleet, ill: str | None, store: PointStore, say: Callable[[str], None]
) -> Feeder:
    """Waits for the fleet to be in memory, makes a member ill and writes the last hour of all.

    So the first answer is a whole one, waits for nobody, and the last known state of the ill member can be asked for.
    """
    federation = state["federation"]
    say("reading what is in them")
    await federation.wait_synced(_SYNC_SECONDS)
    feeder = Feeder(federation, store)
    running = await feeder.load_running()
    if ill is not None:
        await fleet.set_fault(ill, "hang")
    say("writing an hour of their usage")
    await feeder.feed(running)
    if ill is not None:
        say(f"waiting until {ill} counts as ill")
        await federation.wait_until(partial(_is_cut_off, federation, ill), _ILL_SECONDS)
    return feeder


def _is_cut_off(federation: Federation, cluster: str) -> bool:
    """Whether no question waits for the cluster any more."""
    try:
        federation.get_connection(EVERYTHING, cluster)
    except ClusterUnreachable:
        return True
    return False


def _welcome(plan: DemoPlan, listening: Listening) -> None:
    ill = _ILL.format(name=plan.ill) if plan.ill else ""
    _say(
        _WELCOME.format(
            members=plan.clusters, pods=plan.pods, url=listening.main_url, user=USER, password=PASSWORD, ill=ill
        )
    )


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text)
        sys.stdout.flush()
