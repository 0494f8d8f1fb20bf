"""What core leaves unawaited after an error is complained of where it was left, and not in a later test."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Nothing of a test is found by the garbage collector after it."""
    yield
    gc.collect()
