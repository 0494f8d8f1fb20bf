"""Three real nats-servers by the file that the pods have, with its places put on loopback."""

import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
import yaml
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy, StreamConfig

from checks.manifests import CHART, K8S
from fleet.replication.client import NatsClient
from realfleet.ports import list_free_ports
from realfleet.processes import open_servers
from server.check.run import run_checks
from server.settings.environment import load_settings
from tests.fakes.records import build_pod_record
from tests.fakes.shared_state import EAST, HandWriter, open_following
from tests.fakes.waiting import until
from tests.k8s.rendering import container_of, find
from tests.required import both_versions, need

CONF = (CHART / "files" / "nats.conf").read_text()
REPLICAS = K8S / "overlays" / "replicas" / "manifests.yaml"
PASSWORDS = {"writer": "1e9", "follower": "$x #,{'y"}
"""Which the file would read as a number and a variable, if they were not quoted."""
STREAM = StreamConfig(name=EAST.stream, subjects=[EAST.all], num_replicas=3, max_msgs_per_subject=1)
FORBIDDEN = {
    EAST.mark: b"x",
    "$KV.openmcp-leases.member.east": b"x",
    "$JS.API.STREAM.CREATE.more": b'{"name": "more", "subjects": ["more"]}',
    "$JS.API.STREAM.UPDATE.openmcp-east": b'{"name": "openmcp-east", "subjects": ["x"]}',
    "$JS.API.STREAM.DELETE.openmcp-east": b"",
    "$JS.API.STREAM.PURGE.openmcp-east": b"",
    "$JS.API.STREAM.MSG.DELETE.openmcp-east": b'{"seq": 1}',
}

ALLOWED = ("$JS.API.INFO", "$JS.API.STREAM.INFO.openmcp-east", f"$JS.API.DIRECT.GET.openmcp-east.{EAST.mark}")


class Nats:
    """The three, and who connects to them."""

    def __init__(self, ports: list[int], ca_file: Path) -> None:
        self.urls = [f"tls://localhost:{port}" for port in ports]
        self.refused: list[str] = []
        self.ca_file = ca_file
        self._context = ssl.create_default_context(cafile=ca_file)

    async def connect(self, user: str) -> Client:
        client = NatsClient(encrypted=True)
        await client.connect(
            self.urls,
            user=user,
            password=PASSWORDS[user],
            tls=self._context,
            error_cb=self._note,
            inbox_prefix=b"_INBOX.follower" if user == "follower" else b"_INBOX",
        )
        return client

    async def _note(self, error: Exception) -> None:
        self.refused.append(str(error))


@pytest.fixture
def three_servers(nats_program: Path, tmp_path: Path) -> Iterator[Nats]:
    names = [f"openmcp-nats-{number}" for number in range(3)]
    asked = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout tls.key -out tls.crt -subj /CN=x"
    )
    command = [need("openssl"), *asked.split(), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=True)
    (tmp_path / "ca.crt").write_bytes((tmp_path / "tls.crt").read_bytes())
    ports = list_free_ports(9)
    with open_servers() as servers:
        for number, name in enumerate(names):
            text = CONF.replace("/etc/nats-tls", str(tmp_path)).replace('"/data"', f'"{tmp_path / name}"')
            for at, published in enumerate((4222, 8222, 6222)):
                text = text.replace(f"0.0.0.0:{published}", f"127.0.0.1:{ports[3 * at + number]}")
            for other, port in zip(names, ports[6:], strict=True):
                text = text.replace(f"{other}.openmcp-nats:6222", f"localhost:{port}")
            (tmp_path / f"{name}.conf").write_text(text)
            said = [f"{user.upper()}_PASSWORD={json.dumps(password)}" for user, password in PASSWORDS.items()]
            program = ["/usr/bin/env", f"SERVER_NAME={name}", *said, str(nats_program), "-c", f"{tmp_path / name}.conf"]
            subprocess.run([*program, "-t"], capture_output=True, timeout=60, check=True)
            servers.start(name, program)
        yield Nats(ports[:3], tmp_path / "ca.crt")


@pytest_asyncio.fixture
async def streaming(three_servers: Nats) -> AsyncIterator[tuple[Nats, Client]]:
    """With a member's stream, and the writer's connection."""
    writer: Client | None = None

    async def is_there() -> bool:
        nonlocal writer
        try:
            writer = writer or await three_servers.connect("writer")
            await writer.jetstream().add_stream(STREAM)
        except (OSError, nats.errors.Error, nats.js.errors.Error):
            return False
        return True

    await until(is_there, what="JetStream", every=0.1)
    assert writer is not None
    try:
        yield three_servers, writer
    finally:
        await writer.close()


@both_versions
async def test_a_follower_reads_and_changes_nothing(streaming: tuple[Nats, Client]) -> None:
    servers, writer = streaming
    await writer.jetstream().add_stream(name="openmcp-west", subjects=["openmcp.west.>"])
    await writer.jetstream().create_key_value(bucket="openmcp-leases", direct=False)
    writes = HandWriter(writer)
    await writes.put_pods(build_pod_record("east", "shop", "p1"))
    await writes.mark()
    password, ca_file = PASSWORDS["follower"], servers.ca_file
    async with (
        open_following(servers.urls[0], username="follower", password=password, ca_file=ca_file, writes=False) as (
            member,
            _,
        ),
        await servers.connect("follower") as follower,
    ):
        await until(lambda: member.pods.get("shop", "p1"), what="the pod")
        # What JetStream is asked to deliver into another stream is no way around.
        elsewhere = ConsumerConfig(deliver_subject="openmcp.west.mark", deliver_policy=DeliverPolicy.ALL)
        await follower.jetstream().add_consumer(EAST.stream, elsewhere)
        for subject, body in FORBIDDEN.items():
            await follower.publish(subject, body)
            for asked in ALLOWED:  # nor is an answer that is to be sent there
                await follower.publish(asked, b"", reply=subject.replace("east", "west"))
        assert (await follower.jetstream().stream_info(EAST.stream)).state.messages == 2
        await until(lambda: len(servers.refused) >= len(FORBIDDEN), what="refusals")
    states = {info.config.name: info.state for info in await writer.jetstream().streams_info()}
    assert {name: (state.messages, state.last_seq) for name, state in states.items()} == {
        EAST.stream: (2, 2),
        "openmcp-west": (0, 0),
        "KV_openmcp-leases": (0, 0),
    }
    for subject in FORBIDDEN:
        assert any(subject.lower() in said.lower() for said in servers.refused), subject


async def test_what_replicas_are_told_lets_them_write_to_three_servers(
    streaming: tuple[Nats, Client], tmp_path: Path
) -> None:
    servers, _ = streaming
    container = container_of(find(yaml.safe_load_all(REPLICAS.read_text()), "Deployment"))
    told = {each["name"]: each.get("value", PASSWORDS["writer"]) for each in container["env"] if "NATS" in each["name"]}
    told["OPENMCP_STATE"] = "nats"
    here = {"OPENMCP_NATS_URL": ",".join(servers.urls), "OPENMCP_NATS_CA_FILE": str(servers.ca_file)}
    rows = await run_checks(load_settings(told | here | {"OPENMCP_KUBECONFIG": str(tmp_path / "none")}))
    (said,) = (row.said for row in rows if row.what == "shared state")
    assert said.endswith(", streams can be written, kept by 3 servers")
