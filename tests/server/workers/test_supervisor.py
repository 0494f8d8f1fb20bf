"""Several processes behind one port: they come up, die, are replaced and end."""

import os
import re
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from server.figures.exposition import merge_expositions
from tests.fakes.waiting import until
from tests.server.test_serve import ask, ended, environ, open_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")


def list_workers(process: Process) -> list[int]:
    """The processes that it has started, by number."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return sorted(int(pid) for pid in children.split())


async def count_up(ops: str) -> int:
    _, text = await ask(f"{ops}/metrics")
    return len(re.findall(r'^openmcp_up\{worker="\d"\} 1.0$', text, re.MULTILINE))


async def wait_all(ops: str, count: int) -> None:
    async def are_up() -> bool:
        return await count_up(ops) == count

    await until(are_up, what=f"{count} workers", every=0.05)


def urls(variables: dict[str, str]) -> tuple[str, str]:
    return tuple(f"http://127.0.0.1:{variables[name]}" for name in ("OPENMCP_PORT", "OPENMCP_OPS_PORT"))  # type: ignore[return-value]  # two of them


async def test_workers_serve_one_port_and_tell_the_figures_of_all(tmp_path: Path) -> None:
    variables = environ(tmp_path, OPENMCP_WORKERS="3")
    main, ops = urls(variables)
    async with open_process(variables) as process:
        await wait_all(ops, 3)
        assert len(list_workers(process)) == 3
        assert await ask(f"{main}/healthz") == (200, "ok\n")
        _, text = await ask(f"{ops}/metrics")
        assert text.count("# TYPE openmcp_cluster_ready gauge") == 1
        assert len(re.findall(r'^process_start_time_seconds\{worker="\d"\} \d', text, re.MULTILINE)) == 3
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with aiohttp.request("GET", f"{ops}/metrics", headers=accept) as answer:
            families = list(text_string_to_metric_families(await answer.text()))  # type: ignore[no-untyped-call]  # the library's
        (up,) = (family.samples for family in families if family.name == "openmcp_up")
        assert [sample.labels["worker"] for sample in up] == ["0", "1", "2"]
        process.terminate()
        assert (await ended(process))[0] == 0


async def test_a_killed_worker_is_replaced_and_the_port_is_never_lost(tmp_path: Path) -> None:
    variables = environ(tmp_path, OPENMCP_WORKERS="2")
    main, ops = urls(variables)
    async with open_process(variables) as process:
        await wait_all(ops, 2)
        before = list_workers(process)
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: before[0] not in list_workers(process), what="the end of the worker")
        answers = [await ask(f"{main}/healthz") for _ in range(20)]
        assert answers == [(200, "ok\n")] * 20
        await wait_all(ops, 2)
        after = list_workers(process)
        assert before[1] in after
        assert len(after) == 2
        process.terminate()
        code, said = await ended(process)
        assert code == 0
        assert f"worker 0 (process {before[0]}) ended with -9: another one is started" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_all_workers(tmp_path: Path, number: signal.Signals) -> None:
    variables = environ(tmp_path, OPENMCP_WORKERS="2")
    main, ops = urls(variables)
    async with open_process(variables) as process, aiohttp.ClientSession() as session:
        await wait_all(ops, 2)
        workers = list_workers(process)
        open_answers = [await session.get(f"{main}/healthz") for _ in range(8)]
        process.send_signal(number)
        assert (await ended(process))[0] == 0
        assert [answer.status for answer in open_answers] == [200] * 8
        assert not any(map(is_running, workers))


async def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    variables = environ(tmp_path, OPENMCP_WORKERS="2")
    async with open_process(variables) as process:
        await wait_all(urls(variables)[1], 2)
        workers = list_workers(process)
        process.kill()
        await until(lambda: not any(map(is_running, workers)), what="the end of all workers")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"OPENMCP_WORKERS": "0"}, "OPENMCP_WORKERS is '0', must be a number, 1 to 64"),
        ({"OPENMCP_USERS_FILE": "nowhere.yaml"}, "users file nowhere.yaml: No such file"),
        ({"OPENMCP_HOST": "203.0.113.7"}, "must be a free port of 203.0.113.7"),
    ],
)
async def test_what_keeps_workers_from_starting_is_said_once(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    async with open_process(environ(tmp_path, **{"OPENMCP_WORKERS": "2", **changed})) as process:
        code, text = await ended(process)
        assert code == 2
        assert said in text


async def test_a_port_of_another_server_with_workers_is_not_shared(tmp_path: Path) -> None:
    variables = environ(tmp_path, OPENMCP_WORKERS="2")
    async with open_process(variables):
        await wait_all(urls(variables)[1], 2)
        async with open_process(variables) as second:
            code, said = await ended(second)
    assert code == 2
    assert f"OPENMCP_PORT is {variables['OPENMCP_PORT']}, must be a free port" in said


def test_expositions_become_one_with_families_together() -> None:
    first = '# HELP up Says.\n# TYPE up gauge\nup 1\n# TYPE ready gauge\nready{cluster="a b"} 1\n'
    second = '# HELP up Says.\n# TYPE up gauge\nup 1\n# TYPE age gauge\nage{cluster="{"} 2\n'
    assert merge_expositions({0: first, 2: second}).splitlines() == [
        "# HELP up Says.",
        "# TYPE up gauge",
        'up{worker="0"} 1',
        'up{worker="2"} 1',
        "# TYPE ready gauge",
        'ready{worker="0",cluster="a b"} 1',
        "# TYPE age gauge",
        'age{worker="2",cluster="{"} 2',
    ]


def test_the_end_of_openmetrics_is_said_once() -> None:
    text = "# TYPE up gauge\nup 1.0\n# EOF\n"
    merged = merge_expositions({0: text, 1: text})
    assert merged == '# TYPE up gauge\nup{worker="0"} 1.0\nup{worker="1"} 1.0\n# EOF\n'
