"""The site in `build/site`: `python -m pages.site` lays the pages out and has Zensical make HTML of them.

`docs/index.md` is the one table of contents: each `##` is a section, each link in its tables a page of it. What pages
link to outside `docs/` comes along below `project/`, so that the site has all it names.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = ROOT / "build" / "site"
CONFIG = Path(__file__).with_name("zensical.toml")
UNSEARCHED = ("contributing", "decisions", "project")  # what users look for would be lost among these
FENCED = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?\[[^\]]*)\]\(([^)#:\s]+)((?:#[^)\s]*)?)\)")
SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.MULTILINE)


def build(site: Path) -> None:
    """Builds the site; a link that leads nowhere is an error."""
    staged = site.parent / "pages"
    for folder in (site, staged):
        shutil.rmtree(folder, ignore_errors=True)
    stage(staged)
    config = site.parent / "zensical.toml"
    config.write_text(build_config())
    zensical = Path(sys.executable).with_name("zensical")
    command: list[str | Path] = [zensical, "build", "--clean", "--strict", "--config-file", config]
    subprocess.run(command, check=True)


def stage(folder: Path) -> None:
    """Lays out `docs/` and all that its pages lead to."""
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns("*.dot"))
    waiting, seen = sorted(DOCS.rglob("*.md")), set[Path]()
    while waiting:
        source = waiting.pop()
        place = folder / _place(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            shutil.copyfile(source, place)
            continue
        text, outside = move_links(source)
        aside = _place(source).parts[0] in UNSEARCHED
        place.write_text(f"---\nsearch:\n  exclude: true\n---\n\n{text}" if aside else text)
        new = outside - seen
        seen |= new
        waiting += sorted(new)


def move_links(source: Path) -> tuple[str, set[Path]]:
    """A page's text with its links as the site has them, and what they lead to outside `docs/`."""
    outside = set[Path]()

    def move(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / match[2]))
        if not target.is_file():
            return match[0] if target.is_relative_to(DOCS) or not target.exists() else match[1].lstrip("![")
        if not target.is_relative_to(DOCS):
            outside.add(target)
        return f"{match[1]}]({os.path.relpath(_place(target), _place(source).parent)}{match[3]})"

    parts = (LINK.sub(move, part) if prose else _without_marks(part) for part, prose in _split(source.read_text()))
    return "".join(parts), outside


def build_config() -> str:
    """Zensical's settings with the contents of `docs/index.md`."""
    sections = [f"{{ {json.dumps(title)} = {_as_toml(pages)} }}" for title, pages in read_contents().items()]
    contents = ", ".join(['{ "Start" = "index.md" }', *sections])
    overrides = json.dumps(str(CONFIG.with_name("overrides")))
    return CONFIG.read_text().replace("nav = []", f"nav = [{contents}]").replace('"overrides"', overrides)


def read_contents() -> dict[str, list[tuple[str, str]]]:
    """The sections of `docs/index.md`, and their pages as the site has them: title and path."""
    return {
        title: [
            (name, str(_place(Path(os.path.normpath(DOCS / link)))))
            for name, link in re.findall(r"\[([^\]]+)\]\(([^)#:\s]+\.md)\)", body)
        ]
        for title, body in SECTION.findall((DOCS / "index.md").read_text())
    }


def _as_toml(pages: list[tuple[str, str]]) -> str:
    return "[" + ", ".join(f"{{ {json.dumps(title)} = {json.dumps(path)} }}" for title, path in pages) + "]"


def _place(source: Path) -> Path:
    return source.relative_to(DOCS) if source.is_relative_to(DOCS) else Path("project") / source.relative_to(ROOT)


def _without_marks(block: str) -> str:
    """A fenced block with the language alone; the words behind it are for tests."""
    return re.sub(r"^( *`{3,}\w*) .*", r"\1", block, count=1)


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """The text in parts, and of each whether it is prose rather than a fenced block."""
    end = 0
    for block in FENCED.finditer(text):
        yield text[end : block.start()], True
        yield block[0], False
        end = block.end()
    yield text[end:], True


if __name__ == "__main__":
    build(SITE)
