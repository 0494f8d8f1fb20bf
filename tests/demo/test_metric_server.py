"""The demo in front of a Prometheus, or a VictoriaMetrics, of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from demo.metric_server import MetricServerKind, NoMetricServer, open_metric_server
from tests.fakes.waiting import PATIENCE, until
from tests.processes import RunningServer, free_port, open_server
from tests.required import need

QUERY = """{ pods(first: 100, filter: {clusters: ["cluster1"], phases: [RUNNING]}) {
  items { usage { cpuCores } history(last: "1h", step: "5m") { memoryBytes } } } }"""


@pytest.fixture(scope="module", params=list(MetricServerKind), ids=lambda kind: kind.value)
async def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningServer]:
    need(request.param.value)
    port = free_port()
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    size = ("--port", str(port), "--clusters", "1", "--pods", "20", "--metrics", request.param.value)
    async with open_server("demo", *size, environment={}, port=port, log=log, ready_seconds=2 * PATIENCE) as server:
        yield server


async def test_usage_and_an_hour_of_it_come_from_there(demo: RunningServer) -> None:
    token = await demo.sign_in()

    async def is_measured() -> bool:
        answer: Any = await demo.ask(token, QUERY)
        assert "errors" not in answer, answer
        pods = [pod for pod in answer["data"]["pods"]["items"] if pod["usage"] and pod["history"]]
        return len(pods) > 10 and all(len(list(filter(None, pod["history"]["memoryBytes"]))) > 10 for pod in pods)

    await until(is_measured, what="an hour of the usage of most pods", every=0.2)
    assert "usage is written to http://127.0.0.1:" in demo.log.read_text()


async def test_another_one_is_named_and_not_taken(tmp_path: Path) -> None:
    wanted, other = MetricServerKind.VICTORIA_METRICS, MetricServerKind.PROMETHEUS
    with pytest.raises(NoMetricServer, match=r"victoria-metrics is not installed: .* --metrics prometheus, which is"):
        async with open_metric_server(wanted, tmp_path, lambda asked: Path("/bin/true") if asked is other else None):
            pass


@pytest.mark.parametrize(
    ("program", "said"),
    [(None, "apt-get install prometheus, or --metrics embedded"), (Path("/bin/false"), "did not start")],
)
async def test_what_would_help_is_said(tmp_path: Path, program: Path | None, said: str) -> None:
    with pytest.raises(NoMetricServer, match=said):
        async with open_metric_server(MetricServerKind.PROMETHEUS, tmp_path, lambda _: program):
            pass
