"""Probes and figures, in front of a real federation over clusters of the test's process."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from auth.authenticator import AuthOptions, open_authenticator
from fleet.aio.admission import Admission
from fleet.aio.stopping import Stopping
from fleet.kubernetes.sources.joining import HostJoining
from fleet.live.usage_cache import UsageCache
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.model.errors import MetricsUnavailable
from fleet.ports import MemberSpec
from fleet.registry import FleetOptions, open_federation
from graph.http.persisted import Documents
from graph.limits.limits import DEFAULT_LIMITS
from graph.loading.timeslice import TimeSlices
from graph.subscriptions.hub import open_hub
from rest_compat.platform import PlatformOptions
from server.health import MetricProbe
from server.lifespan import OpenState, State, open_state
from server.ops import create_ops_app
from server.settings.environment import load_settings
from server.settings.groups import Settings
from tests.fakes.kubernetes import FakeCluster, FakeSource, build_spec
from tests.fakes.waiting import until
from tests.server.serving import open_serving

KEY = b"0123456789abcdef0123456789abcdef"


class SilentSource(FakeSource):
    """A source that does not know yet."""

    async def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        await asyncio.Event().wait()
        yield {}


class BrokenStore:
    """The part of a metric store that a probe asks; counts how often."""

    asked = 0

    async def check(self) -> str:
        self.asked += 1
        raise MetricsUnavailable("InfluxDB at http://influx:8086 can't be reached")


def opening(source: FakeSource, folder: Path) -> OpenState:
    @asynccontextmanager
    async def open_state(_settings: Settings) -> AsyncIterator[State]:
        async with AsyncExitStack() as stack:
            options = AuthOptions(KEY, administrator=("openmcp", "keti"))
            federation = await stack.enter_async_context(open_federation(source, FleetOptions(member_timeout=0.5)))
            store = await stack.enter_async_context(open_embedded_store(EmbeddedOptions(folder / "usage.sqlite")))
            authenticator = await stack.enter_async_context(open_authenticator(options))
            hub = open_hub(federation, store, authenticator, request_timeout=9.0)
            yield State(
                federation=federation,
                metric_store=store,
                authenticator=authenticator,
                documents=Documents(max_bytes=1 << 20),
                request_timeout=9.0,
                live=await stack.enter_async_context(hub),
                admission=Admission(),
                limits=DEFAULT_LIMITS,
                compiled=True,
                time_slices=TimeSlices(),
                platform=PlatformOptions(),
                joining=HostJoining("openmcp", 0.5),
                stopping=Stopping(),
                held_usage=UsageCache(store, federation.pods_of),
            )

    return open_state


async def ask(url: str, path: str) -> tuple[int, str]:
    async with aiohttp.request("GET", f"{url}{path}") as answer:
        return answer.status, await answer.text()


async def wait_ready(url: str) -> str:
    """What `/readyz` says once it is 200."""
    said: list[tuple[int, str]] = []

    async def is_ready() -> bool:
        said.append(await ask(url, "/readyz"))
        return said[-1][0] == 200

    await until(is_ready, what="readiness")
    return said[-1][1]


async def test_the_process_is_alive_before_it_is_ready(tmp_path: Path) -> None:
    app = create_ops_app(Settings(), opening(SilentSource(), tmp_path))
    async with open_serving(app) as url:
        alive, ready = await ask(url, "/healthz"), await ask(url, "/readyz")

    assert alive == (200, "ok\n")
    assert ready[0] == 503
    assert "not known yet" in ready[1]


async def test_an_ill_member_is_named_but_leaves_the_server_ready(tmp_path: Path) -> None:
    source = FakeSource(FakeCluster("openmcp"), FakeCluster("cluster1"))
    source.say(build_spec("openmcp"), MemberSpec("cluster1", build_spec("cluster1").role, None, problem="no token"))
    app = create_ops_app(Settings(), opening(source, tmp_path))
    async with open_serving(app) as url:
        text = await wait_ready(url)

    assert "cluster1" in text
    assert "no token" in text


async def test_a_source_that_may_not_list_all_is_named_and_leaves_the_server_ready(tmp_path: Path) -> None:
    context = {"name": "c1", "context": {"cluster": "c1"}}
    clusters = [{"name": "c1", "cluster": {"server": "http://127.0.0.1:1"}}]
    (tmp_path / "kubeconfig").write_text(json.dumps({"clusters": clusters, "contexts": [context]}))
    settings = load_settings(
        {
            "OPENMCP_CLUSTER_SOURCE": "secrets,kubeconfig",
            "OPENMCP_SECRETS_NAMESPACE": "argocd",
            "OPENMCP_KUBECONFIG": str(tmp_path / "kubeconfig"),
            "OPENMCP_HOST_CONTEXT": "elsewhere",
            "OPENMCP_SIGNING_KEY": KEY.decode(),
            "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
        }
    )
    async with open_serving(create_ops_app(settings, open_state)) as url:
        said = json.loads(await wait_ready(url))
    assert said["clusters"].startswith("c1 OFFLINE: ")
    assert said["sources"] == "secrets: the kubeconfig has no context 'elsewhere'; contexts: c1"


async def test_it_is_not_ready_before_its_clusters_are_in_memory(tmp_path: Path) -> None:
    cluster = FakeCluster("c1")
    cluster.answering.clear()
    app = create_ops_app(Settings(), opening(FakeSource(cluster), tmp_path))
    async with open_serving(app) as url:
        await until(lambda: cluster.count("/readyz"))
        before = await ask(url, "/readyz")
        cluster.answering.set()
        await wait_ready(url)
        cluster.answering.clear()
        later = await ask(url, "/readyz")

    assert (before[0], later[0]) == (503, 200)
    assert "not every cluster is in memory yet" in before[1]


async def test_a_member_that_hangs_from_the_start_is_waited_for_until_it_is_cut_off(tmp_path: Path) -> None:
    ill, well = FakeCluster("cluster1"), FakeCluster("openmcp")
    ill.answering.clear()
    app = create_ops_app(Settings(), opening(FakeSource(well, ill), tmp_path))
    async with open_serving(app) as url:
        text = await wait_ready(url)

    assert "cluster1 is cut off after 3 failed attempts" in text


async def test_figures_are_in_prometheus_text_format(tmp_path: Path) -> None:
    source = FakeSource(FakeCluster("openmcp"))
    app = create_ops_app(Settings(), opening(source, tmp_path))
    async with open_serving(app) as url:
        status, text = await ask(url, "/metrics")

    assert status == 200
    assert "\nopenmcp_up 1.0\n" in text
    assert 'openmcp_cluster_ready{cluster="openmcp"}' in text
    assert "\nopenmcp_live_operations 0.0\n" in text
    assert text.endswith("\n")


async def test_a_metric_store_that_is_down_is_asked_seldom_and_costs_nothing_else() -> None:
    store, probe = BrokenStore(), MetricProbe()
    parts = [await probe.load(store) for _ in range(5)]  # type: ignore[arg-type]  # the part of the port that is asked

    assert all(part.ready for part in parts)
    assert parts[0].detail == "InfluxDB at http://influx:8086 can't be reached"
    assert "influx:8086" not in parts[0].reason
    assert store.asked == 1
