"""What `serve` says it found, and how far a command is, to a terminal and elsewhere."""

import contextlib
import io
import os
import time
from pathlib import Path

import pytest

from realfleet.fleet import Fleet
from server.progress import open_progress
from tests.fakes.waiting import until
from tests.processes import free_port, open_server


@pytest.mark.real
async def test_ten_lines_say_what_was_found(real_fleet: Fleet, tmp_path: Path) -> None:
    port = free_port()
    ports = {"OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": "0", "OPENMCP_HOST": "127.0.0.1"}
    environment = real_fleet.environment() | ports | {"OPENMCP_MAX_COST": "5000"}
    log = tmp_path / "log"
    async with open_server("serve", environment=environment, port=port, log=log):
        await until(lambda: "server.found: limits" in log.read_text(), what="the last line")
    lines = [line.partition("server.found: ")[2] for line in log.read_text().splitlines() if "server.found: " in line]
    count = len(real_fleet.members) + 1
    assert len(lines) <= 10
    told = {line.partition(":")[0]: line for line in lines}
    assert lines[0].startswith("openmcp-apiserver 0.")
    assert lines[1] == f"clusters come from kubefed ({count})"
    assert told["clusters"].startswith(f"clusters: {count} READY; ")
    assert told["metric store influxql"].startswith("metric store influxql: InfluxDB 1.")
    assert told["sign-in"] == "sign-in: 1 users and groups; rights are decided by roles"
    assert told["ports"].startswith(f"ports: 127.0.0.1:{port} in plain HTTP; for operators ")
    assert told["GraphiQL"] == f"GraphiQL: http://127.0.0.1:{port}/graphql in a browser"
    assert told["limits"] == "limits: OPENMCP_MAX_COST=5000"


def test_a_terminal_has_one_line_that_changes_and_goes() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, open_progress(terminal) as say:
        say("1 of 2")
        seen = b""
        while b"1 of 2" not in seen:
            seen += os.read(ours, 1000)
        say("2 of 2")
        while b"2 of 2" not in seen:
            seen += os.read(ours, 1000)
    with contextlib.suppress(OSError):  # as Linux says that the other end is closed
        seen += os.read(ours, 1000)
    os.close(ours)
    assert b"\n" not in seen
    assert b"2 of 2 (0 s)\x1b[K\r" in seen
    assert seen.endswith(b"\x1b[K")


def test_elsewhere_a_line_every_few_seconds() -> None:
    stream = io.StringIO()
    with open_progress(stream, every_seconds=0.01) as say:
        say("1 of 2")
        while stream.getvalue().count("\n") < 3:
            time.sleep(0.01)
    assert stream.getvalue().splitlines()[-1].startswith("1 of 2 (")
