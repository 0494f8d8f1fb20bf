"""Programs of the machine that tests need: missing is a skip with a reason, or a failure with `REQUIRE_REAL=1`."""

import os
import shutil

import pytest


def need(program: str) -> str:
    """The program's path."""
    found = shutil.which(program)
    if found is None:
        reason = f"{program} is not installed on this machine"
        if os.environ.get("REQUIRE_REAL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found
