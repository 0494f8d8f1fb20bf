"""The wheel in an empty environment, with the libraries of the image's lock and nothing else."""

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from realfleet.fleet import Fleet
from release.versions import ROOT, read_version
from tests.processes import free_port, open_server

LINES_OF_HELP = ("check", "serve", "user")


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as it was installed."""
    folder = tmp_path_factory.mktemp("installed")
    python = folder / "bin" / "python"
    pip: tuple[str | Path, ...] = (python, "-m", "pip", "install", "--quiet", "--no-compile")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([*pip, "--require-hashes", "--requirement", ROOT / "image" / "requirements.lock"], check=True)
    subprocess.run([*pip, "--no-index", wheel], check=True)
    return folder / "bin" / "openmcp-apiserver"


def test_it_is_the_same_program(program: Path, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        return subprocess.run([program, *words], check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    assert run("--version").strip() == read_version()
    assert all(f"\n  {command} " in run("--help") for command in LINES_OF_HELP)
    assert run("schema") == (ROOT / "schema.graphql").read_text()


@pytest.mark.real
async def test_it_serves_real_clusters_and_its_own_page(program: Path, real_fleet: Fleet, tmp_path: Path) -> None:
    port, ops = free_port(), free_port()
    environment = real_fleet.environment() | {"OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(ops)}
    checked = await asyncio.create_subprocess_exec(
        program, "check", env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    assert await checked.wait() == 0
    log = tmp_path / "log"
    async with (
        open_server("serve", environment=environment, port=port, log=log, program=[program]) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        answer = await server.ask(await server.sign_in(), "{ clusters { name } }")
        assert "errors" not in answer
        async with session.get("/graphql", headers={"accept": "text/html"}) as page:
            scripts = [word for word in (await page.text()).split('"') if word.endswith((".js", ".css"))]
        assert scripts
        for script in scripts:
            async with session.get(script if script.startswith("/") else f"/{script}") as part:
                assert (script, part.status) == (script, 200)
