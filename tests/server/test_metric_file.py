"""The file of the embedded store as a server and `check` find it: nobody else's to read, and never in a folder `~`."""

import asyncio
import stat
from pathlib import Path

import pytest

from server.settings.environment import load_settings
from server.settings.groups import Settings
from tests.fakes.waiting import PATIENCE, until
from tests.processes import COMMAND
from tests.server.test_serve import ask, ended, environ, open_process

DEFAULT = ".local/state/openmcp-apiserver"


def home(folder: Path, **more: str) -> dict[str, str]:
    """A server that is told nothing of its file."""
    return environ(folder, HOME=str(folder / "home"), OPENMCP_EMBEDDED_FILE="", **more)


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_default_is_validated_as_what_is_written() -> None:
    paths = [
        path
        for settings in (Settings(), load_settings({}))
        for group in dict(settings).values()
        for value in dict(group).values()
        for path in (value if isinstance(value, tuple) else (value,))
        if isinstance(path, Path)
    ]

    assert paths
    assert [path for path in paths if not path.is_absolute()] == []


async def test_the_default_is_in_the_home_directory_and_its_owner_s_alone(tmp_path: Path) -> None:
    variables, here = home(tmp_path), tmp_path / "here"
    here.mkdir()
    folder = tmp_path / "home" / DEFAULT
    async with open_process(variables, "env", "-C", str(here), str(COMMAND), "serve") as process:
        await ask(f"http://127.0.0.1:{variables['OPENMCP_PORT']}/healthz")
        await until(lambda: (folder / "usage.sqlite-wal").exists(), what="the file's log")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
        process.terminate()
        await ended(process)

    assert modes.pop(folder.name) == 0o700
    assert set(modes) >= {"usage.sqlite", "usage.sqlite-wal", "usage.sqlite-shm"}
    assert set(modes.values()) == {0o600}
    assert list_files(here) == set()


async def test_a_home_that_can_not_be_written_makes_it_temporary_and_says_so(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    variables = home(tmp_path, TMPDIR=str(temporary)) | {"HOME": "/proc/nowhere"}
    async with open_process(variables) as process:
        await ask(f"http://127.0.0.1:{variables['OPENMCP_PORT']}/healthz")
        made = list_files(temporary)
        process.terminate()
        code, said = await ended(process)

    assert (code, "Traceback" in said) == (0, False)
    assert any(name.endswith("/usage.sqlite") for name in made)
    assert list_files(temporary) == set()
    assert f"usage is kept in {temporary}" in said
    assert "OPENMCP_EMBEDDED_FILE names a file that lasts" in said


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_named_file_that_can_not_be_written_is_said(tmp_path: Path, workers: str) -> None:
    file = "/proc/nowhere/usage.sqlite"
    variables = environ(tmp_path, OPENMCP_EMBEDDED_FILE=file, OPENMCP_WORKERS=workers)
    async with open_process(variables) as process:
        code, said = await ended(process)

    assert (code, "Traceback" in said) == (2, False)
    assert f"OPENMCP_EMBEDDED_FILE is '{file}', must be a file that can be written" in said


async def run_check(variables: dict[str, str], *options: str) -> tuple[int | None, str]:
    async with open_process(variables, str(COMMAND), "check", *options) as process:
        async with asyncio.timeout(PATIENCE):
            told, _ = await process.communicate()
        return process.returncode, next(line for line in told.decode().splitlines() if line.startswith("metric store"))


async def test_check_writes_nothing_and_says_what_would_be_made(tmp_path: Path) -> None:
    variables = home(tmp_path)
    before = list_files(tmp_path)

    code, row = await run_check(variables)

    assert (code, list_files(tmp_path)) == (0, before)
    assert row.endswith(f"ok   `serve` makes the file {tmp_path / 'home' / DEFAULT / 'usage.sqlite'}")


async def test_check_reads_a_file_that_is_there_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    variables = environ(tmp_path)
    url = f"http://127.0.0.1:{variables['OPENMCP_PORT']}/healthz"
    async with open_process(variables) as process:
        await ask(url)
        while_it_runs = await run_check(variables)
        process.terminate()
        await ended(process)
    before = read_files(tmp_path)

    code, row = await run_check(variables)

    assert (read_files(tmp_path), code) == (before, 0)
    assert row.endswith("file usage.sqlite, 0 series")
    assert while_it_runs == (0, row)


async def test_replicas_are_told_that_each_has_a_history_of_its_own(tmp_path: Path) -> None:
    variables = home(tmp_path) | {"OPENMCP_STATE": "nats", "OPENMCP_NATS_URL": "nats://127.0.0.1:9"}

    _, row = await run_check(variables)
    async with open_process(variables) as process:
        await ask(f"http://127.0.0.1:{variables['OPENMCP_PORT']}/healthz")
        process.terminate()
        _, said = await ended(process)

    history = "usage and its history are kept by each replica for itself, from when it ran"
    assert f"usage.sqlite, but {history}" in row
    assert said.count(history) == 1
