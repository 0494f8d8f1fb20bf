"""`openmcp-apiserver check` says what the NATS of the settings lets this replica do, or what to mend."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig

from realfleet.nats import NatsCluster, NatsServer, NatsUser
from realfleet.nats_credentials import NatsOperator
from realfleet.pki import build_cluster_files
from server.check.rows import Row
from server.check.run import run_checks
from server.settings.environment import load_settings
from tests.k8s.test_nats import CONF
from tests.required import both_versions

StartNats = Callable[..., NatsServer]

ACCOUNTS = {"users": (NatsUser("writer"), NatsUser("follower")), "accounts": CONF[CONF.index("accounts {") :]}
"""Those of the manifests."""


async def check(url: str, folder: Path, **variables: str) -> Row:
    named = {f"OPENMCP_NATS_{name}": value for name, value in variables.items()}
    kubeconfig = {"OPENMCP_KUBECONFIG": str(folder / "none")}
    rows = await run_checks(load_settings({"OPENMCP_STATE": "nats", "OPENMCP_NATS_URL": url} | kubeconfig | named))
    return next(row for row in rows if row.what == "shared state")


def access(server: NatsServer, name: str) -> dict[str, str]:
    user = server.user(name)
    return {"USERNAME": user.username, "PASSWORD": user.password}


async def make_stream(server: NatsServer) -> None:
    """As a writer would."""
    async with await nats.connect(server.url_of("writer")) as client:
        await client.jetstream().add_stream(StreamConfig(name="openmcp-a", subjects=["openmcp.a.>"]))
        await client.jetstream().publish("openmcp.a.mark", b"1")


@both_versions
async def test_a_writer_can_write_and_leaves_nothing(start_nats_server: StartNats, tmp_path: Path) -> None:
    server = start_nats_server(**ACCOUNTS)
    row = await check(server.url, tmp_path, **access(server, "writer"))
    version = (await asyncio.to_thread(server.ask, "/varz"))["version"]
    assert (row.works, row.said) == (True, f"nats-server {version}, streams can be written")
    assert (await asyncio.to_thread(server.ask, "/jsz"))["streams"] == 0


@both_versions
async def test_a_follower_can_read_and_publish_nothing(start_nats_server: StartNats, tmp_path: Path) -> None:
    server = start_nats_server(**ACCOUNTS)
    follower = access(server, "follower") | {"WRITES": "false"}
    assert (await check(server.url, tmp_path, **follower)).said.endswith(
        ", clusters that can be followed: 0, nothing published"
    )
    await make_stream(server)
    row = await check(server.url, tmp_path, **follower)
    assert (row.works, row.said.partition(", ")[2]) == (True, "clusters that can be followed: 1, nothing published")
    row = await check(server.url, tmp_path, **access(server, "writer"), WRITES="false")
    assert (row.works, row.said.rpartition(", ")[2]) == (True, "but its account may publish as well")
    stored = await asyncio.to_thread(server.ask, "/jsz")
    assert (stored["streams"], stored["messages"]) == (1, 1)


@both_versions
async def test_a_follower_that_should_write_is_told(start_nats_server: StartNats, tmp_path: Path) -> None:
    server = start_nats_server(**ACCOUNTS)
    row = await check(server.url, tmp_path, **access(server, "follower"))
    assert not row.works
    assert "permissions violation for publish to" in row.said.lower()
    assert "OPENMCP_NATS_WRITES be false" in row.said


@pytest.mark.parametrize(
    ("withheld", "writes"),
    [("$KV.>", "true"), ("openmcp.>", "true"), ("$JS.API.STREAM.MSG.DELETE.*", "true"), ("$JS.API.>", "false")],
)
async def test_each_right_that_lacks_is_named(
    start_nats_server: StartNats, tmp_path: Path, withheld: str, writes: str
) -> None:
    denied = NatsUser("denied", deny=(withheld,))
    server = start_nats_server(users=(denied,))
    row = await check(server.url, tmp_path, **access(server, "denied"), WRITES=writes)
    assert not row.works
    assert f'publish to "{withheld.partition("*")[0].rstrip(">").lower()}' in row.said.lower()


@both_versions
async def test_a_wrong_password_is_named(start_nats_server: StartNats, tmp_path: Path) -> None:
    server = start_nats_server(**ACCOUNTS)
    row = await check(server.url, tmp_path, USERNAME="writer", PASSWORD="secret-word")
    assert not row.works
    assert "it refuses the user, the password or the credentials file (OPENMCP_NATS_USERNAME" in row.said
    assert "secret-word" not in row.said


async def test_credentials_files_are_named(start_nats_server: StartNats, tmp_path: Path) -> None:
    operator = NatsOperator()
    server = start_nats_server(further=operator.config)
    path = operator.write_credentials(tmp_path / "user.creds")
    assert (await check(server.url, tmp_path, CREDENTIALS_FILE=str(path))).works
    path.write_text("-")
    row = await check(server.url, tmp_path, CREDENTIALS_FILE=str(path))
    assert not row.works
    assert f"the credentials file {path} must hold a NATS USER JWT" in row.said
    NatsOperator().write_credentials(path)
    assert "OPENMCP_NATS_CREDENTIALS_FILE" in (await check(server.url, tmp_path, CREDENTIALS_FILE=str(path))).said


@both_versions
async def test_a_server_without_jetstream_is_named(start_nats_server: StartNats, tmp_path: Path) -> None:
    server = start_nats_server(jetstream=False)
    row = await check(server.url, tmp_path)
    assert not row.works
    assert "its configuration must have `jetstream`" in row.said


@both_versions
async def test_an_unknown_authority_is_named(start_nats_server: StartNats, tmp_path: Path) -> None:
    files, others = (build_cluster_files(tmp_path / name, name) for name in "ab")
    server = start_nats_server(tls=files)
    assert (await check(server.url, tmp_path, CA_FILE=str(files.ca))).works
    row = await check(server.url, tmp_path, CA_FILE=str(others.ca))
    assert not row.works
    assert "its certificate is not trusted here" in row.said
    assert "OPENMCP_NATS_CA_FILE must hold the authority" in row.said


async def test_nobody_there_is_named(unused_port: Callable[[], int], tmp_path: Path) -> None:
    row = await check(f"nats://127.0.0.1:{unused_port()}", tmp_path)
    assert not row.works
    assert "(does a nats-server run there? OPENMCP_NATS_URL names it)" in row.said


@both_versions
async def test_more_replicas_than_servers_are_named(nats_server: NatsServer, tmp_path: Path) -> None:
    row = await check(nats_server.url, tmp_path, STREAM_REPLICAS="3")
    assert not row.works
    assert "OPENMCP_NATS_STREAM_REPLICAS is 3, which takes a cluster of as many servers" in row.said


@both_versions
async def test_a_cluster_keeps_as_many_replicas_as_it_has_servers(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    row = await check(nats_cluster.url, tmp_path, STREAM_REPLICAS="3")
    assert (row.works, row.said.rpartition(", ")[2]) == (True, "kept by 3 servers")
    row = await check(nats_cluster.url, tmp_path, STREAM_REPLICAS="5")
    assert not row.works
    assert "OPENMCP_NATS_STREAM_REPLICAS is 5" in row.said


@both_versions
async def test_a_cluster_without_a_majority_is_named(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    for server in nats_cluster.servers[1:]:
        await asyncio.to_thread(server.kill)
    row = await check(nats_cluster.url, tmp_path, STREAM_REPLICAS="3")
    assert not row.works
    assert "more than half of the servers of its cluster must run" in row.said


@both_versions
async def test_no_room_is_named(start_nats_server: StartNats, tmp_path: Path) -> None:
    server = start_nats_server(max_file_store=60_000)
    async with await nats.connect(server.url) as client:
        await client.jetstream().add_stream(name="full", subjects=["full"])
        await client.jetstream().publish("full", bytes(80_000))
    row = await check(server.url, tmp_path)
    assert not row.works
    assert "its volume or `max_file_store` is full or too small" in row.said
