"""The processes that are measured: simulated members, the server in front of them, an anchor. All on loopback."""

import asyncio
import os
import secrets
import ssl
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import yaml

from bench.load import AnswerError, Ask, fetch
from realfleet.pki import ClusterFiles
from realfleet.ports import list_free_ports

LOOPBACK = "127.0.0.1"
USER, PASSWORD = "openmcp", "keti"
HOST_CONTEXT = "openmcp"

_COMMAND = Path(sys.executable).with_name("openmcp-apiserver")
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_TAIL = 2_000  # bytes
_CHANGES_A_TURN = 4.5  # a replaced pod is five, and every eighth time one crashes instead
_STILL = "1e9"  # seconds between two changes: what is compared must not change


class StartError(Exception):
    """A process did not become ready."""


@dataclass(frozen=True)
class Simulated:
    """A simulated fleet in a process of its own. `urls` and `tokens` are those of each cluster, host included."""

    kubeconfig: Path
    urls: Mapping[str, str]
    tokens: Mapping[str, str] = field(repr=False)
    process: Process = field(repr=False)

    async def order(self, cluster: str, fault: str, **more: float) -> None:
        """Makes a cluster ill or well, by a command of `demo.simulator`. Raises StartError."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(orjson.dumps({"cluster": cluster, "fault": fault, **more}) + b"\n")
        said = await asyncio.wait_for(self.process.stdout.readline(), _START_SECONDS)
        if said != b"ok\n":
            raise StartError(f"the simulated fleet does not {fault}: {said.decode()}")

    async def churn(self, changes: float) -> None:
        """Has so many changes of pods a second from now on, over all members. Raises StartError."""
        members = [name for name in self.urls if name != HOST_CONTEXT]
        for name in members:
            await self.order(name, "churn", seconds=_CHANGES_A_TURN * len(members) / changes)


@dataclass(frozen=True)
class Running:
    """Our server. `token` is an administrator's; `usage_file` is its embedded store, where it has one."""

    url: str
    token: str = field(repr=False)
    pid: int
    usage_file: Path
    ops_url: str = ""
    tls: ssl.SSLContext | None = None

    def ask(self, path: str, body: bytes = b"") -> Ask:
        """A request of a signed-in user."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        return Ask(self.url + path, headers | ({"Content-Type": "application/json"} if body else {}), body, self.tls)

    def ask_graph(self, query: str, variables: Mapping[str, object] | None = None, anchor: str | None = None) -> Ask:
        """A GraphQL request, or the same to an anchor at another URL."""
        ask = self.ask("/graphql", orjson.dumps({"query": query} | ({"variables": variables} if variables else {})))
        return replace(ask, url=anchor, tls=None) if anchor else ask


@asynccontextmanager
async def open_simulated(members: int, pods: int, nodes: int = 3) -> AsyncIterator[Simulated]:
    """Members with `pods` pods each that do not change. Raises StartError."""
    size = (f"--clusters={members}", f"--pods={pods}", f"--nodes={nodes}")
    command = ("demo.simulator", *size, f"--churn={_STILL}")
    async with open_process(sys.executable, "-m", *command, stdin=PIPE) as process:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        if not line:
            raise StartError("the simulated fleet ended before it answered")
        started = orjson.loads(line)
        kubeconfig = Path(started["kubeconfig"])
        yield Simulated(kubeconfig, started["clusters"], load_tokens(kubeconfig), process)


def load_tokens(kubeconfig: Path) -> dict[str, str]:
    """The bearer token of each user of a kubeconfig."""
    return {entry["name"]: entry["user"]["token"] for entry in yaml.safe_load(kubeconfig.read_text())["users"]}


@asynccontextmanager
async def open_server(
    kubeconfig: Path, more: Mapping[str, str] | None = None, files: ClusterFiles | None = None
) -> AsyncIterator[Running]:
    """`openmcp-apiserver serve` in front of a kubeconfig's contexts, collecting no usage. Raises StartError.

    `more` are variables of the environment that say otherwise. With `files` it speaks TLS.
    """
    port, ops_port = list_free_ports(2)
    url, ops = f"{'https' if files else 'http'}://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{ops_port}"
    tls = _build_careless_context() if files else None
    secure = (
        {"OPENMCP_TLS_CERT_FILE": str(files.serving_certificate), "OPENMCP_TLS_KEY_FILE": str(files.serving_key)}
        if files
        else {}
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_KUBECONFIG": str(kubeconfig),
            "OPENMCP_HOST_CONTEXT": HOST_CONTEXT,
            "OPENMCP_METRIC_STORE": "embedded",
            "OPENMCP_EMBEDDED_FILE": f"{folder}/usage.sqlite",
            "OPENMCP_COLLECT_INTERVAL": "0s",
            "OPENMCP_HOST": LOOPBACK,
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(ops_port),
            "OPENMCP_ADDRESS_CONNECTIONS": "100000",
            "OPENMCP_USER_RATE": "0",
            "OPENMCP_ADDRESS_RATE": "0",
            "OPENMCP_USER_WEBSOCKETS": "100000",
            "OPENMCP_USER_STREAMS": "100000",
            "OPENMCP_SIGNING_KEY": secrets.token_hex(32),
            "API_USER_NAME": USER,
            "API_USER_PW": PASSWORD,
            **secure,
            **(more or {}),
        }
        async with open_process(_COMMAND, "serve", environment=environment) as process:
            await wait_answer(process, Ask(f"{url}/readyz", tls=tls))
            signed_in = orjson.loads(await fetch(Ask(f"{url}/token?username={USER}&password={PASSWORD}", tls=tls)))
            yield Running(url, signed_in["token"], process.pid, Path(environment["OPENMCP_EMBEDDED_FILE"]), ops, tls)


@asynccontextmanager
async def open_process(
    program: str | Path, *arguments: str, environment: Mapping[str, str] | None = None, stdin: int = DEVNULL
) -> AsyncIterator[Process]:
    """A process; its standard output is a pipe for one that asks for its standard input, else nowhere.

    What it says on standard error is the end of the message where it does not start.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    output = PIPE if stdin == PIPE else DEVNULL
    with tempfile.TemporaryFile() as said:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdin=stdin, stdout=output, stderr=said, env=kept | dict(environment or {})
        )
        try:
            yield process
        except StartError as error:
            said.seek(max(0, said.tell() - _TAIL))
            raise StartError(f"{error}\n{said.read().decode(errors='replace')}") from error
        finally:
            await _stop(process)


async def run_to_end(*arguments: str) -> bytes:
    """What `python ARGUMENTS` writes. Raises StartError where it fails."""
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE)
    try:
        written, _ = await asyncio.wait_for(process.communicate(), _START_SECONDS)
    finally:
        await _stop(process)
    if process.returncode:
        raise StartError(f"python {' '.join(arguments)} ended with code {process.returncode}")
    return written


async def wait_answer(process: Process, ask: Ask) -> None:
    """Until the request is answered with 200. Raises StartError."""

    async def is_answered() -> bool:
        if process.returncode is not None:
            raise StartError(f"the server of {ask.url} ended with code {process.returncode}")
        try:
            await fetch(ask)
        except (OSError, AnswerError):
            return False
        return True

    await wait_until(is_answered, f"{ask.url} answers")


async def wait_until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = _START_SECONDS) -> None:
    """Looks until the condition holds. Raises StartError."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise StartError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.05)


async def wait_pods(server: Running, pods: int, seconds: float = _START_SECONDS) -> None:
    """Until it has that many pods in memory. Raises StartError."""

    async def has_all() -> bool:
        answer = orjson.loads(await fetch(server.ask_graph("{ pods(first: 1) { totalCount } }")))
        return bool(answer["data"]["pods"]["totalCount"] >= pods)

    await wait_until(has_all, f"{pods} pods are in memory", seconds)


def _build_careless_context() -> ssl.SSLContext:
    """Encrypts, and does not look at the certificate, as the platform's portals do."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()  # the simulated fleet ends with its input
    else:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
