"""kubectl twice: through this server and directly, what it printed without what differs between any two runs."""

import asyncio
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60.0
NAMESPACE = "by-kubectl"

_DIFFERING = (
    (re.compile(r"\b(\d+d)?(\d+h)?(\d+m)?\d+(\.\d+)?m?s\b"), "AGE"),
    (re.compile(r"\bweb-[0-9a-z]{6,10}(-[0-9a-z]{5})?\b"), "web-SOME"),
    (re.compile(r"https://127\.0\.0\.1:\d+(/clusters/\w+)?"), "SERVER"),
    (re.compile(r'("?(resourceVersion|uid|creationTimestamp|time|generation)"?: )\S+'), r"\1SOME"),
    (re.compile(r"/tmp/(LIVE|MERGED)-\d+"), r"\1"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*( \+0000)?"), "TIME"),
    # How often kubectl sees a rollout on its way, before it says that it is done.
    (re.compile(r'(Waiting for deployment "web" rollout to finish: .*\n)+'), ""),
    # What a remote command says last of all may come after kubectl has stopped listening, directly as well.
    (re.compile(r"tar: Removing leading `/' from member names\n?"), ""),
    # Aligned columns move with the ages in them.
    (re.compile(r" {2,}"), "  "),
)


@dataclass(frozen=True)
class Outcome:
    """What a person sees of a run."""

    code: int
    output: str
    errors: str

    def normalised(self) -> "Outcome":
        """Without ages, random names, versions and addresses."""
        return Outcome(self.code, _normalise(self.output), _normalise(self.errors))


@dataclass(frozen=True)
class Kubectl:
    """kubectl with one kubeconfig and context, in the tests' namespace."""

    program: Path
    kubeconfig: Path
    cache: Path
    """Of its own, so that none profits from what the other found out."""
    context: str = "cluster1"

    def arguments(self, line: str | Sequence[str]) -> list[str]:
        """The whole command line."""
        words = shlex.split(line) if isinstance(line, str) else list(line)
        head = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.cache}", f"--context={self.context}"]
        return [str(self.program), *head, f"--namespace={NAMESPACE}", *words]

    async def run(self, line: str | Sequence[str], stdin: str = "", **environment: str) -> Outcome:
        """Runs to the end, within a bound."""
        process = await self.start(line, **environment)
        try:
            async with asyncio.timeout(SECONDS):
                output, errors = await process.communicate(stdin.encode())
        finally:
            await stop(process)
        assert process.returncode is not None
        return Outcome(process.returncode, output.decode(), errors.decode())

    async def must(self, line: str | Sequence[str], stdin: str = "") -> str:
        """The output of a run that has to succeed."""
        outcome = await self.run(line, stdin)
        assert outcome.code == 0, outcome
        return outcome.output

    async def start(self, line: str | Sequence[str], **environment: str) -> asyncio.subprocess.Process:
        """Starts it with pipes; whoever starts it stops it."""
        return await asyncio.create_subprocess_exec(
            *self.arguments(line),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.cache), **environment},
        )


async def stop(process: asyncio.subprocess.Process) -> None:
    """Ends a process that may have ended."""
    if process.returncode is None:
        process.kill()
        await process.wait()


def _normalise(text: str) -> str:
    for pattern, word in _DIFFERING:
        text = pattern.sub(word, text)
    return text
