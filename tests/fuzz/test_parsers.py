"""Whatever a parser of outside text is fed, only the errors that it documents come out of it."""

import ast
import contextlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.blocks import BLOCKS
from tests.fuzz.callers import CALLERS
from tests.fuzz.files import FILES, PLUGINS
from tests.fuzz.issuers import ISSUERS
from tests.fuzz.members import MEMBERS
from tests.fuzz.parsers import Parser
from tests.fuzz.replication import REPLICATION

CASES = int(os.environ.get("FUZZ_CASES", "60"))
PARSERS = (*CALLERS, *FILES, *MEMBERS, *PLUGINS, *ISSUERS, *REPLICATION, *BLOCKS)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # it would hide what failed
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.all_names[0])
def test_only_documented_errors_come_out(parser: Parser) -> None:
    @settings(
        max_examples=CASES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(parser.inputs)
    def ask(fed: object) -> None:
        with contextlib.suppress(*parser.errors):
            parser.call(fed)

    ask()


def test_each_parser_is_among_them() -> None:
    root = Path(__file__).parents[2]
    found = {
        f"{'.'.join(file.relative_to(root).with_suffix('').parts)}.{node.name}"
        for package in ("auth", "fleet", "graph", "rest_compat", "server")
        for file in root.glob(f"{package}/**/*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and re.match("(parse|decode|unpack)_", node.name)
    }
    assert found - {name.partition(",")[0] for parser in PARSERS for name in parser.all_names} == set()
