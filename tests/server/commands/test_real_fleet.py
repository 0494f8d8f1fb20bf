"""The commands that ask a server, as processes in front of real clusters."""

import asyncio
import csv
import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from realfleet.fleet import Fleet
from tests import credentials
from tests.processes import AT_ONCE, COMMAND, RunningServer, free_port, open_server

pytestmark = pytest.mark.real
SECONDS = 120
PODS = """query ($first: Int!, $clusters: [String!]) {
  pods(first: $first, filter: {clusters: $clusters}) { items { name cluster { name } } }
}"""


@pytest_asyncio.fixture(scope="module")
async def server(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    port, folder = free_port(), tmp_path_factory.mktemp("commands")
    ports = {"OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": "0", "OPENMCP_HOST": "127.0.0.1"}
    environment = real_fleet.environment() | ports | AT_ONCE
    async with open_server("serve", environment=environment, port=port, log=folder / "log") as running:
        yield running


async def run(server: RunningServer, cache: Path, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    """Its exit status, and what it said on both."""
    known = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache), "OPENMCP_SERVER": server.url}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(COMMAND, *arguments, env=known, stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(typed.encode()), SECONDS)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_graph_is_asked_and_the_sign_in_is_kept(
    server: RunningServer, real_fleet: Fleet, tmp_path: Path
) -> None:
    signs_in = ("query", "--user", "openmcp", "--password-stdin", "{ clusters { name } }")
    status, out, err = await run(server, tmp_path, *signs_in, typed="keti\n")
    assert (status, err) == (0, "")
    names = {cluster["name"] for cluster in json.loads(out)["clusters"]}
    assert {cluster.name for cluster in real_fleet.members} <= names

    (tmp_path / "pods.graphql").write_text(PODS)
    asked = ("query", "--user", "openmcp", "--file", str(tmp_path / "pods.graphql"), "-v", "first=3")
    status, out, err = await run(server, tmp_path, *asked, "--output", "csv")  # nobody is asked for a password
    assert (status, err) == (0, "")
    head, *rows = csv.reader(io.StringIO(out))
    assert (head, len(rows)) == (["name", "cluster.name"], 3)
    status, out, _ = await run(server, tmp_path, *asked, "-v", "clusters=cluster1", "--output", "table")
    assert out.splitlines()[0].split() == head
    assert [line.split()[1] for line in out.splitlines()[1:]] == ["cluster1"] * 3


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{ nothing }", "Cannot query field 'nothing' on type 'Query'"),
        ('{ viewer { name } cluster(name: "no") { name } }', "cluster: no cluster is named 'no'"),
    ],
)
async def test_what_is_wrong_is_said_and_1_or_2(
    server: RunningServer, tmp_path: Path, document: str, said: str
) -> None:
    asked = ("query", "--user", "openmcp", "--password-stdin", document)
    status, _, err = await run(server, tmp_path, *asked, typed="keti\n")
    assert (status > 0, said in err) == (True, True), err


async def test_a_kubeconfig_takes_no_name_of_another(server: RunningServer, real_fleet: Fleet, tmp_path: Path) -> None:
    signs_in = ("--user", "openmcp", "--password-stdin")
    _, out, err = await run(server, tmp_path, "kubeconfig", *signs_in, typed="keti\n")
    written = yaml.safe_load(out)
    credentials.note(written["users"][0]["user"]["token"], "a token of a kubeconfig")
    for entries in ("contexts", "clusters", "users"):
        assert all(entry["name"].startswith("openmcp-") for entry in written[entries])
    assert {f"openmcp-{cluster.name}" for cluster in real_fleet.members} <= {e["name"] for e in written["contexts"]}
    assert "kubectl sends no token over plain http" in err

    _, out, _ = await run(server, tmp_path, "kubeconfig", *signs_in, "--prefix", "", typed="keti\n")
    plain = yaml.safe_load(out)
    credentials.note(plain["users"][0]["user"]["token"], "another one")
    assert {cluster.name for cluster in real_fleet.members} <= {entry["name"] for entry in plain["contexts"]}
