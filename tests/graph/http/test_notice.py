"""`NOTICE` names what the GraphiQL page is built from, at the versions that it is built with."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_notice_names_the_versions_of_the_lock() -> None:
    packages = json.loads((ROOT / "graph/graphiql/package-lock.json").read_text())["packages"]
    locked = {(path.rpartition("node_modules/")[2], entry.get("version")) for path, entry in packages.items()}
    wanted = json.loads((ROOT / "graph/graphiql/package.json").read_text())["dependencies"]
    text = (ROOT / "NOTICE").read_text().partition("== Within")[0]
    named = set(re.findall(r"(@?[\w./-]+) (\d+\.\d+\.\d+[\w.-]*)", text))

    assert named - locked == set()
    assert set(wanted.items()) - named == set()
