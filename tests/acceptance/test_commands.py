"""Each command of the pages runs as printed, before the real fleet; which do not is said there, and why."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from realfleet.cache import find_binaries
from realfleet.fleet import Fleet
from tests.acceptance.commands import ROOT, build_script, read_blocks
from tests.fakes.waiting import PATIENCE
from tests.processes import AT_ONCE, RunningServer, free_port
from tests.required import need

BLOCKS = read_blocks()
HERE = [block for block in BLOCKS if not block.mark.startswith(("run by ", "not run: ")) and not block.word]


def test_few_are_not_run_and_say_why() -> None:
    skipped = [block for block in BLOCKS if block.mark.startswith("not run: ")]
    assert len(skipped) <= len(BLOCKS) / 3, "\n".join(f"{block.page}: {block.mark}" for block in skipped)


def test_who_runs_the_others_reads_their_pages() -> None:
    others = [(block.mark.removeprefix("run by "), block.page) for block in BLOCKS if block.mark.startswith("run by ")]
    assert [pair for pair in others if f'"{Path(pair[1]).name}"' not in (ROOT / pair[0]).read_text()] == []


@pytest.mark.real
@pytest.mark.parametrize("page", sorted({block.page for block in HERE}))
async def test_commands_run_as_printed(page: str, real_fleet: Fleet, served: RunningServer, tmp_path: Path) -> None:
    blocks = [block for block in HERE if block.page == page]
    promtool = ("promtool",) if any("promtool" in block.text for block in blocks) else ()
    for program in ("bash", "curl", "jq", "openssl", *promtool):
        need(program)
    port, other = free_port(), free_port()
    changes = {
        "127.0.0.1:8000": f"127.0.0.1:{other}",
        "http.server 8000": f"http.server {other}",
        "-n capi-clusters": "-n default",
    }
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(free_port()),
        **AT_ONCE,
    }
    if any("openmcp-apiserver serve" in block.text for block in blocks):
        changes["127.0.0.1:8080"] = f"127.0.0.1:{port}"
    else:
        changes["http://127.0.0.1:8080"] = served.url
        environment = {**real_fleet.environment(), **environment, "TOKEN": await served.sign_in()}
    await asyncio.to_thread(lay_out, tmp_path, real_fleet)
    script = tmp_path / "page.sh"
    script.write_text(build_script(blocks, changes))
    status, printed = await run(script, environment)
    assert status == 0, f"{script.read_text()}\n{printed}"


def lay_out(folder: Path, fleet: Fleet) -> None:
    """A home with a kubeconfig, a clone's commands, and a kubectl that changes nothing."""
    (folder / ".kube").mkdir()
    shutil.copyfile(fleet.kubeconfig, folder / ".kube" / "config")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (folder / "k8s").symlink_to(ROOT / "k8s")
    (folder / "bin").mkdir()
    kubectl = folder / "bin" / "kubectl"
    dry = 'for word; do case $word in create|apply) set -- "$@" --dry-run=server; break;; esac; done'
    kubectl.write_text(f'#!/bin/sh\n{dry}\nexec {find_binaries().kubectl} "$@"\n')
    kubectl.chmod(0o755)


async def run(script: Path, environment: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        "bash",
        script.name,
        cwd=script.parent,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            printed, _ = await process.communicate()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):  # what the page started, where it ended before it stopped that
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, printed.decode()
