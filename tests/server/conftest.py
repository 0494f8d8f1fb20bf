"""What commands set in the process they run in is put back after each test."""

import logging
from collections.abc import Iterator

import pytest

_PACKAGES = ("auth", "demo", "fleet", "graph", "rest_compat", "server")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command sets the logging of its process up, which here is the tests'."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in _PACKAGES}
    level, handlers = root.level, list(root.handlers)
    flags = (logging.logThreads, logging.logProcesses, logging.logMultiprocessing, logging._srcfile)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    for name, found in levels.items():
        logging.getLogger(name).setLevel(found)
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing, logging._srcfile = flags
