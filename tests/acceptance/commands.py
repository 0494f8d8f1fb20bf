"""Reads the commands of the pages, and makes of a page's commands a script that ends.

A block is ```sh, run here; ```sh with a word behind it is another test's, which reads that word; the comment in the
line before a block may say `run by PATH` (a test that reads the page) or `not run: REASON`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
KOREAN = ROOT / "README.ko.md"  # the same commands as README.md, to which tests/docs holds it
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {KOREAN})
BLOCK = re.compile(r"^(?:<!-- (.+) -->\n)?```(?:sh|bash|console)( \w+)?.*\n((?:.*\n)*?)^```$", re.MULTILINE)

# What goes on until it is stopped, and when it has begun: a command that is tried again until it succeeds.
UNENDING = {
    r"openmcp-apiserver serve": "curl -sf http://127.0.0.1:$OPENMCP_PORT/readyz",
    r"http\.server (\d+)": r"curl -sf http://127.0.0.1:\1/",
    r"curl -N ": "grep -q 'event: next' OUTPUT",
}


class Block(msgspec.Struct, frozen=True):
    """Commands of a page: `mark` is the comment before them, `word` the one behind `sh`."""

    page: str
    mark: str
    word: str
    text: str


def read_blocks() -> list[Block]:
    found = list[Block]()
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        found += [Block(name, mark, word.strip(), text) for mark, word, text in BLOCK.findall(page.read_text())]
    return found


def build_script(blocks: list[Block], changes: Mapping[str, str]) -> str:
    """One script of all blocks of a page; `changes` are texts of the page and what is there instead."""
    lines = ["set -euo pipefail", 'trap "kill \\$(jobs -p) && wait || true" EXIT']
    for number, line in enumerate("".join(block.text for block in blocks).replace("\\\n", "").splitlines()):
        for before, after in changes.items():
            line = line.replace(before, after)
        lines += _in_background(line, f"output{number}") or [line]
    return "\n".join(lines) + "\n"


def _in_background(line: str, output: str) -> list[str]:
    for pattern, begun in UNENDING.items():
        if found := re.search(pattern, line):
            ready = found.expand(begun).replace("OUTPUT", output)
            command = line.partition(" # ")[0].rstrip(" &")
            return [
                f"{{ {command}; }} >{output} 2>&1 &",
                f"until {ready} >/dev/null; do kill -0 $! || {{ cat {output}; exit 1; }}; sleep 0.1; done",
            ]
    return []
