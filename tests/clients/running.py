"""Runs a script with Node and reads what it prints."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.npm import SOURCES

RUN_SECONDS = 60.0
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Node:
    """Node and the packages that scripts import, and a folder of its own for each script."""

    program: str
    packages: Path
    folder: Path

    def place(self, name: str, text: str | None = None) -> Path:
        """Writes a script, or copies the one of that name from `scripts/`, to where Node finds the packages."""
        modules = self.folder / "node_modules"
        if not modules.exists():
            modules.symlink_to(self.packages)
        script = self.folder / name
        script.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            shutil.copy(SOURCES / "scripts" / name, script)
        else:
            script.write_text(text)
        return script

    async def run(self, script: Path, environment: Mapping[str, str]) -> Any:
        """The one JSON value that the script prints. AssertionError where it fails or takes too long."""
        return json.loads(await self.print(script, environment))

    async def print(self, script: Path, environment: Mapping[str, str] | None = None) -> str:
        """What the script prints. AssertionError where it fails or takes longer than `RUN_SECONDS`."""
        async with self._started(script, environment or {}) as process:
            try:
                printed, said = await asyncio.wait_for(process.communicate(), RUN_SECONDS)
            except TimeoutError:
                raise AssertionError(f"{script.name} did not end within {RUN_SECONDS:g} s") from None
        assert process.returncode == 0, f"{script.name} ended with {process.returncode}:\n{said.decode()[-4000:]}"
        return printed.decode()

    @contextlib.asynccontextmanager
    async def serving(self, script: Path, environment: Mapping[str, str]) -> AsyncIterator[Any]:
        """Runs a script that goes on after the line of JSON that it prints first, and ends it."""
        async with self._started(script, environment) as process:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), RUN_SECONDS)
            if not line and process.stderr is not None:
                raise AssertionError(f"{script.name} ended:\n{(await process.stderr.read()).decode()[-4000:]}")
            yield json.loads(line)

    @contextlib.asynccontextmanager
    async def _started(self, script: Path, environment: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            self.program,
            f"--import={self.place('websocket.mjs').as_uri()}",
            script,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.communicate(), STOP_SECONDS)
                except TimeoutError:
                    process.kill()
                    await process.communicate()
