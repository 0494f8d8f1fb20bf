"""`openmcp-apiserver check` says what the InfluxDB 2.7 of the settings is, or what to mend."""

import asyncio
from pathlib import Path

import pytest

from realfleet.cache import INFLUX2_VERSION
from realfleet.influx2 import Influx2
from realfleet.metric_server import MetricServer
from tests.fakes.waiting import PATIENCE
from tests.fleet.metrics.stores import open_filled_influx2, reopen
from tests.processes import COMMAND

pytestmark = pytest.mark.real


async def run_check(folder: Path, influx: Influx2, **changes: str) -> str:
    environment = {
        "OPENMCP_SIGNING_KEY": "a key for this test and nothing else",
        "API_USER_NAME": "openmcp",
        "API_USER_PW": "keti",
        "OPENMCP_KUBECONFIG": str(folder / "none"),
        "OPENMCP_INFLUX_URL": influx.url,
        "OPENMCP_INFLUX_ORG": influx.org,
        "OPENMCP_INFLUX_TOKEN": influx.token,
    }
    process = await asyncio.create_subprocess_exec(
        COMMAND, "check", env=environment | changes, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1  # there is no cluster
    assert b"secret-word" not in said
    return next(line for line in said.decode().splitlines() if line.startswith("metric store"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, f"metric store flux       ok   InfluxDB {INFLUX2_VERSION}, bucket Metrics of organisation openmcp"),
        ({"OPENMCP_METRIC_STORE": "influxql"}, f"metric store influxql   ok   InfluxDB {INFLUX2_VERSION}, database"),
        ({"OPENMCP_INFLUX_BUCKET": "Nowhere"}, "metric store flux       ILL  InfluxDB at http://127.0.0.1:"),
        ({"OPENMCP_INFLUX_ORG": "nowhere"}, "metric store flux       ILL  InfluxDB at http://127.0.0.1:"),
        ({"OPENMCP_INFLUX_TOKEN": "secret-word"}, "metric store flux       ILL  InfluxDB at http://127.0.0.1:"),
    ],
)
async def test_the_row_of_the_store(tmp_path: Path, real_influx2: Influx2, changes: dict[str, str], said: str) -> None:
    assert (await run_check(tmp_path, real_influx2, **changes)).startswith(said)


async def test_influxql_takes_a_token_of_2_7(real_influx2: Influx2) -> None:
    async with (
        open_filled_influx2(real_influx2) as influx,
        reopen(influx, username="", password="", token=real_influx2.token) as store,
    ):
        assert await store.check() == f"InfluxDB {INFLUX2_VERSION}, database {influx.options.database}"


async def test_the_row_of_a_prometheus(tmp_path: Path, real_prometheus: MetricServer, real_influx2: Influx2) -> None:
    """Its address alone chooses it."""
    none = {"OPENMCP_INFLUX_URL": "", "OPENMCP_INFLUX_ORG": "", "OPENMCP_INFLUX_TOKEN": ""}
    said = await run_check(tmp_path, real_influx2, **none, OPENMCP_PROMETHEUS_URL=real_prometheus.url)
    assert said.startswith("metric store prometheus  ok   Prometheus 2.")
    none |= {"OPENMCP_PROMETHEUS_URL": f"{real_prometheus.url}/elsewhere", "OPENMCP_PROMETHEUS_TOKEN": "secret-word"}
    said = await run_check(tmp_path, real_influx2, **none)
    assert said.startswith("metric store prometheus  ILL  Prometheus at http://127.0.0.1:")
    assert said.endswith("check the path of OPENMCP_PROMETHEUS_URL")
