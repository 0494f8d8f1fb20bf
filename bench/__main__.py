"""`python -m bench`: measures and prints the table. `--write` also keeps it in `bench/results.md`.

`python -m bench "pod_page:5,000 pods, with cluster"` measures those rows of it that have these words in their names.
"""

import argparse
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import uvloop

from bench.row import Row
from bench.rows import SUBJECTS
from bench.skipped import Skipped
from bench.table import build_table

RESULTS = Path(__file__).with_name("results.md")
TRIED = Path(__file__).with_name("tried.md")
"""What was tried for the rows that are not met: it goes under the table."""
ROUNDS = 7
_SHOWN = ("strawberry-graphql", "graphql-core", "fastapi", "uvicorn", "uvloop", "aiohttp", "msgspec", "orjson")


async def run(names: list[str], rounds: int) -> str:
    """Measures the subjects in turn; the table, and under it what was left out and on what it was measured."""
    rows: list[Row] = []
    remarks: list[str] = []
    started = time.monotonic()
    for name in names:
        before = time.monotonic()
        try:
            subject, _, only = name.partition(":")
            rows += await SUBJECTS[subject](rounds, *filter(None, [only]))
        except Skipped as skipped:
            remarks.append(f"{name}: not measured, {skipped}")
        print(f"{name}: {time.monotonic() - before:.0f} s", file=sys.stderr)
    remarks.append(f"{rounds} interleaved rounds, medians; {time.monotonic() - started:.0f} s in all")
    remarks.append(describe_machine())
    return "\n".join((build_table(rows), "".join(f"- {remark}\n" for remark in remarks), TRIED.read_text()))


def describe_machine() -> str:
    """What the figures depend on: processors, load, interpreter, libraries."""
    packages = ", ".join(f"{name} {version(name)}" for name in _SHOWN)
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} processors, load {load:.1f} at the end; Python {platform.python_version()}; {packages}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Side-by-side measurements, as a table.")
    parser.add_argument(
        "subjects",
        nargs="*",
        metavar="subject",
        help=f"of {', '.join(SUBJECTS)}; all by default. pod_page:WORDS measures rows with these words in their names",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"samples of each side, {ROUNDS} by default")
    parser.add_argument("--write", action="store_true", help=f"also write bench/{RESULTS.name}")
    arguments = parser.parse_args()
    if unknown := {name for name in arguments.subjects if not name.startswith("pod_page:")} - set(SUBJECTS):
        parser.error(f"no subject is named {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    text = uvloop.run(run(arguments.subjects or list(SUBJECTS), arguments.rounds))
    print(text, end="")
    if arguments.write:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
