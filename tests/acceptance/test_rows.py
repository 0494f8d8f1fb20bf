"""The commands of the cookbook that ask for rows, run as printed against the real fleet."""

import asyncio
import csv
import io
import json
import os
import re

import pytest

from realfleet.fleet import Fleet
from tests.acceptance.cookbook import COOKBOOK
from tests.acceptance.truth import list_columns
from tests.processes import RunningServer
from tests.required import need

pytestmark = pytest.mark.real

ASK = 'curl -sfS -H "Authorization: Bearer $TOKEN" -H "Accept: text/csv" -G "$SERVER/graphql"'
COMMANDS = re.findall(r"^```sh rows\n(.*?)^```\n\n```(?:csv|json lines)\n(.*?)^```", COOKBOOK.read_text(), re.M | re.S)


async def run(command: str, served: RunningServer, token: str) -> str:
    need("curl")
    environment = {"PATH": os.environ["PATH"], "TOKEN": token, "SERVER": served.url}
    process = await asyncio.create_subprocess_exec("sh", "-c", command, env=environment, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def test_csv_has_every_pod_that_kubectl_lists(real_fleet: Fleet, served: RunningServer, token: str) -> None:
    (command, printed), _ = COMMANDS
    text = await run(command, served, token)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.split("\r\n")[0] == printed.split("\n")[0]
    listed = await asyncio.to_thread(list_columns, real_fleet)
    assert {(row["cluster.name"], row["namespace"], row["name"]): row["status"] for row in rows} == {
        key: columns[1] for key, columns in listed.items()
    }


async def test_lines_are_objects_as_printed(served: RunningServer, token: str) -> None:
    _, (command, printed) = COMMANDS
    lines = [json.loads(line) for line in (await run(command, served, token)).splitlines()]
    assert {tuple(line) for line in lines} == {tuple(json.loads(printed))}
    assert all(line["name"] and line["capacity.cpuCores"] > 0 for line in lines)


async def test_objects_of_any_kind_have_rows(real_fleet: Fleet, served: RunningServer, token: str) -> None:
    query = '{ resources(apiVersion: "v1", kind: "ConfigMap") { items { cluster { name } namespace name } } }'
    command = f"{ASK} --data-urlencode 'query={query}'"
    rows = list(csv.DictReader(io.StringIO(await run(command, served, token))))
    for member in real_fleet.members:
        listed = await asyncio.to_thread(
            real_fleet.kubectl,
            member.name,
            "get",
            "configmaps",
            "-A",
            "--no-headers",
            "-o",
            "custom-columns=:metadata.name",
        )
        assert [row["name"] for row in rows if row["cluster.name"] == member.name] == listed.split()
