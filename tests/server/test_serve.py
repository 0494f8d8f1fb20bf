"""The server as a process: what it needs to start, how it listens and how it ends."""

import asyncio
import json
import os
import signal
import socket
import ssl
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from auth.attempts import FREE_OF_A_PAIR
from tests.fakes.waiting import PATIENCE, until
from tests.processes import AT_ONCE, COMMAND, free_port
from tests.server.test_cli import build_dead_kubeconfig


def environ(folder: Path, **more: str) -> dict[str, str]:
    config = folder / "kubeconfig"
    config.write_text(json.dumps(build_dead_kubeconfig()))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENMCP_", "API_", "INFLUX_"))}
    return kept | {
        "OPENMCP_KUBECONFIG": str(config),
        "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(free_port()),
        "OPENMCP_OPS_PORT": str(free_port()),
        "OPENMCP_SIGNING_KEY": "0123456789abcdef0123456789abcdef",
        "API_USER_NAME": "openmcp",
        "API_USER_PW": "keti",
        **AT_ONCE,
        **more,
    }


@asynccontextmanager
async def open_process(variables: dict[str, str], *command: str, log: Path | None = None) -> AsyncIterator[Process]:
    """Whatever it says is in the log, or in its pipes."""
    with log.open("wb") if log else nullcontext(PIPE) as said:
        process = await asyncio.create_subprocess_exec(
            *(command or (COMMAND, "serve")), env=variables, stdout=said, stderr=said
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ended(process: Process) -> tuple[int | None, str]:
    async with asyncio.timeout(PATIENCE):
        _, said = await process.communicate()
    return process.returncode, said.decode()


async def ask(url: str, tls: ssl.SSLContext | None = None, **headers: str) -> tuple[int, str]:
    """Asks until somebody listens."""
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(headers=headers) as session:
        while True:
            try:
                async with session.get(url, ssl=tls or True) as answer:
                    return answer.status, await answer.text()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def until_ready(url: str) -> None:
    async def is_ready() -> bool:
        return (await ask(f"{url}/readyz"))[0] == 200

    await until(is_ready, what="readiness", every=0.05)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"OPENMCP_SIGNING_KEY": ""}, "OPENMCP_SIGNING_KEY (or API_APP_KEY) is not set"),
        ({"OPENMCP_SIGNING_KEY": "short"}, "is '***', 5 bytes"),
        ({"OPENMCP_USERS_FILE": "nowhere.yaml"}, "users file nowhere.yaml: No such file"),
        ({"OPENMCP_TLS_CERT_FILE": "c", "OPENMCP_TLS_KEY_FILE": "k"}, "OPENMCP_TLS_CERT_FILE is 'c', must be a file"),
        ({"OPENMCP_KUBECONFIG": "nowhere:no-more"}, "(or KUBECONFIG) names nowhere, no-more, must name one"),
        ({"OPENMCP_KUBECONFIG": "nowhere", "OPENMCP_HOST_CONTEXT": "x"}, "(or KUBECONFIG) names nowhere, must name"),
        ({"OPENMCP_HOST": "203.0.113.7"}, "must be a free port of 203.0.113.7"),
        (
            {"OPENMCP_OPS_HOST": "203.0.113.7", "OPENMCP_OPS_PORT": "0"},
            "OPENMCP_OPS_PORT is 0, must be a free port of 203",
        ),
        (
            {"OPENMCP_OPS_HOST": "no such host"},
            "OPENMCP_OPS_HOST is 'no such host', must be an address of this machine",
        ),
    ],
)
async def test_what_is_wrong_at_the_start_is_one_line_and_exit_code_2(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    async with open_process(environ(tmp_path, **changed)) as process:
        code, text = await ended(process)

    assert code == 2
    assert said in text
    assert "Traceback" not in text


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with open_process(environ(tmp_path, OPENMCP_PORT=port)) as process:
            code, text = await ended(process)

    assert code == 2
    assert f"OPENMCP_PORT is {port}, must be a free port" in text


async def test_operators_are_served_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    """All of 127.0.0.0/8 is this machine's, and stands for its other addresses."""
    for told, reached in (({}, False), ({"OPENMCP_OPS_HOST": "127.0.0.2"}, True)):
        variables = environ(tmp_path, OPENMCP_HOST="0.0.0.0", **told)  # noqa: S104 - the default, said
        async with open_process(variables):
            assert await ask(f"http://127.0.0.2:{variables['OPENMCP_PORT']}/healthz") == (200, "ok\n")
            with socket.socket() as asking:
                refused = asking.connect_ex(("127.0.0.2", int(variables["OPENMCP_OPS_PORT"])))
            assert (refused == 0) is reached


async def test_it_serves_users_and_operators_and_ends_well(tmp_path: Path) -> None:
    variables = environ(tmp_path)
    main, ops = (f"http://127.0.0.1:{variables[name]}" for name in ("OPENMCP_PORT", "OPENMCP_OPS_PORT"))
    async with open_process(variables) as process:
        assert await ask(f"{main}/healthz") == (200, "ok\n")
        await until_ready(main)
        assert (await ask(f"{main}/docs"))[0] == 404
        assert (await ask(f"{main}/api?clustername=dead"))[0] == 401
        assert 'openmcp_cluster_ready{cluster="dead"} 0.0' in (await ask(f"{ops}/metrics"))[1]
        _, text = await ask(f"{main}/token?username=openmcp&password=keti")
        token = json.loads(text)["token"]
        assert (await ask(f"{main}/api?clustername=dead", Authorization=f"Bearer {token}"))[0] == 503

        process.send_signal(signal.SIGTERM)
        code, said = await ended(process)

    assert code == 0
    assert "GET /token 200" in said
    assert not any(secret in said for secret in ("keti", token, variables["OPENMCP_SIGNING_KEY"], "Traceback"))


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"])
async def test_a_proxy_of_the_environment_is_told_to_lead_nowhere(tmp_path: Path, name: str) -> None:
    async with open_process(environ(tmp_path, **{name: "http://u:secret@proxy.example:3128"})) as process:
        assert process.stderr is not None
        lines: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while lines[-1:] != [b""] and not any(b"leads to no cluster" in line for line in lines):
                lines.append(await process.stderr.readline())
    assert f"{name} leads to no cluster: name a cluster's proxy by its proxy-url" in lines[-1].decode()
    assert b"secret" not in b"".join(lines)


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        ({}, {"urllib3"}),
        ({"OPENMCP_METRIC_STORE": "prometheus", "OPENMCP_PROMETHEUS_URL": "http://127.0.0.1:9"}, {"numpy"}),
    ],
    ids=["embedded", "prometheus"],
)
async def test_a_kubeconfig_and_a_store_need_no_library_of_others(
    tmp_path: Path, more: dict[str, str], left_out: set[str]
) -> None:
    variables = environ(tmp_path, **more)
    code = (
        "import atexit, sys; from server.commands.main import main; "
        "atexit.register(lambda: print(*sys.modules)); main(['serve'])"
    )
    async with open_process(variables, sys.executable, "-c", code) as process:
        await until_ready(f"http://127.0.0.1:{variables['OPENMCP_PORT']}")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            printed, _ = await process.communicate()

    modules = set(printed.decode().split())
    assert "fleet.kubernetes.sources.kubeconfig" in modules
    unused = {"kubernetes_asyncio", "influxdb_client", "aiohttp", "joserfc", "nats", "nkeys"} | left_out
    assert not modules & unused


async def test_the_metric_file_starts_no_thread_a_core(tmp_path: Path) -> None:
    code = """
import os
from server.metric_store import prepare_metric_store
from server.settings.environment import load_settings
prepare_metric_store(load_settings(os.environ))
import numpy
print(len(os.listdir("/proc/self/task")))
"""
    async with open_process(environ(tmp_path), sys.executable, "-c", code) as process:
        async with asyncio.timeout(PATIENCE):
            printed, _ = await process.communicate()
    assert printed == b"1\n"


async def test_https_and_a_plain_port_serve_the_same(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    plain = free_port()
    variables = environ(
        tmp_path,
        OPENMCP_TLS_CERT_FILE=str(certificate),
        OPENMCP_TLS_KEY_FILE=str(key),
        OPENMCP_PLAIN_PORT=str(plain),
        OPENMCP_LOG_FORMAT="json",
    )
    async with open_process(variables) as process:
        trusted = ssl.create_default_context(cafile=str(certificate))
        assert await ask(f"https://127.0.0.1:{variables['OPENMCP_PORT']}/healthz", trusted) == (200, "ok\n")
        assert await ask(f"http://127.0.0.1:{plain}/healthz") == (200, "ok\n")
        await until_ready(f"http://127.0.0.1:{plain}")

        process.send_signal(signal.SIGINT)
        code, said = await ended(process)

    assert code == 0
    assert [json.loads(line)["level"] for line in said.splitlines()]


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, valid for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "tls.crt", folder / "tls.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


async def test_a_users_file_that_hangs_is_told_and_keeps_no_process_from_ending(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("[]")
    variables = environ(tmp_path, OPENMCP_USERS_FILE=str(users))
    ops = f"http://127.0.0.1:{variables['OPENMCP_OPS_PORT']}/readyz"
    async with open_process(variables) as process:
        await until_ready(f"http://127.0.0.1:{variables['OPENMCP_PORT']}")
        users.unlink()
        os.mkfifo(users)

        async def is_told() -> bool:
            return "a named pipe, must be a file" in (await ask(ops))[1]

        await until(is_told, what="the pipe in the operators' /readyz", every=0.1)
        process.send_signal(signal.SIGTERM)
        code, said = await ended(process)
    assert (code, "a named pipe, must be a file" in said) == (0, True)


@pytest.mark.parametrize(("proxies", "status"), [("127.0.0.0/8", 200), ("", 429), ("192.0.2.0/24", 429)])
async def test_guesses_count_by_the_address_that_a_trusted_proxy_names(
    tmp_path: Path, proxies: str, status: int
) -> None:
    variables = environ(tmp_path, OPENMCP_TRUSTED_PROXIES=proxies)
    url = f"http://127.0.0.1:{variables['OPENMCP_PORT']}/token?username=openmcp&password="
    async with open_process(variables), aiohttp.ClientSession() as session:
        await until_ready(f"http://127.0.0.1:{variables['OPENMCP_PORT']}")
        for _ in range(FREE_OF_A_PAIR):
            await session.get(url + "wrong", headers={"X-Forwarded-For": "192.0.2.1"})
        # What a caller writes itself stands before what the proxy adds.
        answer = await session.get(url + "keti", headers={"X-Forwarded-For": "192.0.2.1, 198.51.100.2"})
        assert answer.status == status


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT,)])
async def test_a_drain_is_ended_by_a_second_signal_and_a_person_waits_for_none(
    tmp_path: Path, workers: int, signals: tuple[signal.Signals, ...]
) -> None:
    never = {"OPENMCP_SHUTDOWN_DRAIN": "10m", "OPENMCP_SHUTDOWN_GRACE": "10m", "OPENMCP_WORKERS": str(workers)}
    variables = environ(tmp_path, **never)
    main, ops = (f"http://127.0.0.1:{variables[name]}" for name in ("OPENMCP_PORT", "OPENMCP_OPS_PORT"))
    async with open_process(variables) as process:
        await until_ready(main)
        process.send_signal(signals[0])
        for number in signals[1:]:

            async def is_told() -> bool:
                return (await ask(f"{ops}/readyz"))[0] == 503 and (await ask(f"{main}/healthz"))[0] == 200

            await until(is_told, what="the 503", every=0.05)
            process.send_signal(number)
        assert (await ended(process))[0] == 0


async def test_a_drain_takes_no_longer_than_the_grace(tmp_path: Path) -> None:
    variables = environ(tmp_path, OPENMCP_SHUTDOWN_DRAIN="10m", OPENMCP_SHUTDOWN_GRACE="100ms")
    async with open_process(variables) as process:
        await until_ready(f"http://127.0.0.1:{variables['OPENMCP_PORT']}")
        process.send_signal(signal.SIGTERM)
        code, said = await ended(process)
    assert (code, "does not end" in said) == (0, False)
