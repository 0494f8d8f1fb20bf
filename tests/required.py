"""Programs of the machine that tests need: missing is a skip with a reason, or a failure with `REQUIRE_REAL=1`."""

import os
import shutil
from typing import NoReturn

import pytest


def need(program: str) -> str:
    """The program's path."""
    found = shutil.which(program)
    if found is None:
        go_without(f"{program} is not installed on this machine")
    return found


def go_without(reason: str) -> NoReturn:
    """Skips the test, or fails it where everything is required."""
    if os.environ.get("REQUIRE_REAL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


both_versions = pytest.mark.parametrize("nats_program", ["packaged", "built"], indirect=True)
"""Runs a test with Debian's nats-server and with today's."""
