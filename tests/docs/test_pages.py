"""What the pages point at is there: files, rooms, names of the code, the contracts, other pages."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
NAMED = re.compile(r"`((?:auth|demo|fleet|graph|realfleet|rest_compat|server|tests)/[\w/]*(?:\.py)?)(?:::(\w+))?`")
BARE_COMMAND = re.compile(r"(^|[;&|]\s*)openmcp-apiserver ")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def names_in(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text()).body if hasattr(node, "name")}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_are_written_as_a_clone_has_them(page: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert [line for block in blocks for line in block.splitlines() if BARE_COMMAND.search(line)] == []


def test_each_page_is_in_an_index() -> None:
    indexes = [ROOT / "docs" / "index.md", ROOT / "docs" / "decisions" / "README.md"]
    listed = {(index.parent / link).resolve() for index in indexes for link in LINK.findall(index.read_text())}
    assert [page for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in {*listed, indexes[0]}] == []


def test_the_table_of_decisions_is_what_they_say() -> None:
    folder = ROOT / "docs" / "decisions"
    records = sorted(folder.glob("0*.md"))
    titles = [(page.name, page.read_text().partition("\n")[0].removeprefix(f"# {page.name[:4]}: ")) for page in records]
    assert re.findall(r"^\| \[\d+\]\((.+?)\) \| (.+?) \| ", (folder / "README.md").read_text(), re.MULTILINE) == titles


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=page_id)
def test_files_and_names_of_the_code_exist(page: Path) -> None:
    for path, name in NAMED.findall(page.read_text()):
        file = ROOT / path if (ROOT / path).exists() else ROOT / "tests" / path
        assert file.exists(), path
        assert not name or name in names_in(file), f"{path}::{name}"


def test_each_room_is_on_the_map() -> None:
    text = (ROOT / "docs" / "contributing" / "architecture.md").read_text()
    rooms = {file.parent.relative_to(ROOT) for package in ("fleet", "graph") for file in ROOT.glob(f"{package}/*/*.py")}
    assert {str(room) for room in rooms if f"`{room}/`" not in text} == set()


def test_each_contract_is_on_the_map() -> None:
    text = (ROOT / "docs" / "contributing" / "architecture.md").read_text()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts if f"- {contract['name']}.\n" not in text} == set()
