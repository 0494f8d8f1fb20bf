"""The built GraphiQL files in the package are what their recipe gives."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.required import need

GRAPHIQL = Path(__file__).parents[2] / "graph" / "graphiql"


def test_the_built_files_are_what_the_recipe_gives(tmp_path: Path) -> None:
    need("npm")
    built = tmp_path / "static"
    run = subprocess.run([GRAPHIQL / "build.sh", built], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    committed = {path.name: path.read_bytes() for path in (GRAPHIQL / "static").iterdir()}
    rebuilt = {path.name: path.read_bytes() for path in built.iterdir()}
    assert sorted(committed) == sorted(rebuilt)
    different = [name for name in committed if committed[name] != rebuilt[name]]
    assert not different, f"run `make graphiql`: {different} are not what graph/graphiql/build.sh gives"


def test_the_page_names_no_other_host() -> None:
    page = (GRAPHIQL / "page.html").read_text()
    assert "//" not in page


def test_a_changed_source_changes_the_built_files(tmp_path: Path) -> None:
    need("npm")
    recipe = tmp_path / "graphiql"
    shutil.copytree(GRAPHIQL, recipe, ignore=shutil.ignore_patterns("static", "node_modules"))
    opening = recipe / "src" / "opening.js"
    opening.write_text(opening.read_text().replace("query Fleet", "query Other"))
    built = tmp_path / "static"
    subprocess.run([recipe / "build.sh", built], capture_output=True, timeout=300, check=True)
    assert (built / "graphiql.js").read_bytes() != (GRAPHIQL / "static" / "graphiql.js").read_bytes()


@pytest.mark.parametrize("name", ["graphiql.js", "graphiql.css", "editor.worker.js", "json.worker.js"])
def test_the_built_files_have_fixed_names(name: str) -> None:
    assert (GRAPHIQL / "static" / name).is_file()
