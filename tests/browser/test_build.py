"""The built GraphiQL files in the package are what their recipe gives."""

import gzip
import subprocess
from pathlib import Path

import pytest

from tests.required import need

GRAPHIQL = Path(__file__).parents[2] / "graph" / "graphiql"


def read_files(folder: Path) -> dict[str, bytes]:
    """The content of all files; compressors differ from one release of Node to the next."""
    return {path.name: gzip.decompress(path.read_bytes()) for path in folder.glob("*.gz")}


def test_the_built_files_are_what_the_recipe_gives(tmp_path: Path) -> None:
    need("npm")
    built = tmp_path / "static"
    run = subprocess.run([GRAPHIQL / "build.sh", built], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    committed, rebuilt = read_files(GRAPHIQL / "static"), read_files(built)
    assert sorted(committed) == sorted(rebuilt)
    different = [name for name in committed if committed[name] != rebuilt[name]]
    assert not different, f"run `make graphiql`: {different} are not what graph/graphiql/build.sh gives"


def test_the_page_names_no_other_host() -> None:
    page = (GRAPHIQL / "page.html").read_text()
    assert "//" not in page


@pytest.mark.parametrize("name", ["graphiql.js", "graphiql.css", "editor.worker.js", "json.worker.js"])
def test_the_built_files_have_fixed_names_in_both_codings(name: str) -> None:
    assert all((GRAPHIQL / "static" / f"{name}.{coding}").is_file() for coding in ("br", "gz"))
