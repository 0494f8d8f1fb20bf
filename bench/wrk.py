"""The load generator `wrk`, for servers that are faster than one in Python."""

import asyncio
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import orjson

from bench.load import Ask, Load
from bench.servers import StartError
from bench.skipped import Skipped

_REPORT = """
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.timeout
  local rate = summary.requests / summary.duration * 1e6
  local p50, p99 = latency:percentile(50) / 1e6, latency:percentile(99) / 1e6
  local report = '\\n{"rate": %f, "p50": %f, "p99": %f, "longest": %f, "bad": %d}\\n'
  io.write(string.format(report, rate, p50, p99, latency.max / 1e6, bad))
end
"""


async def run_wrk(ask: Ask, connections: int, seconds: float, *, kept: bool = True) -> Load:
    """Asks for whole seconds, over connections that are kept or of one call each. Raises Skipped, StartError."""
    program = shutil.which("wrk")
    if program is None:
        raise Skipped("needs wrk (Debian has it)")
    headers = dict(ask.headers) | ({} if kept else {"Connection": "close"})
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        script = Path(folder) / "report.lua"
        script.write_text(_REPORT)
        process = await asyncio.create_subprocess_exec(
            program, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script), *given, ask.url,
            stdout=PIPE, stderr=DEVNULL,
        )  # fmt: skip
        said, _ = await process.communicate()
    lines = [line for line in said.splitlines() if line.startswith(b"{")]
    if process.returncode or not lines:
        raise StartError(f"wrk failed at {ask.url}: {said[-500:].decode(errors='replace')}")
    report = orjson.loads(lines[-1])
    if report["bad"]:
        raise StartError(f"{ask.url} answered {report['bad']} times with an error, or not at all")
    return Load(rate=report["rate"], p50=report["p50"], p99=report["p99"], longest=report["longest"])
