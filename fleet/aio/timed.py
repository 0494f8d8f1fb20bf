"""How long something took, for who reads the log at `debug`."""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

_UNTIMED = nullcontext()


def timed(logger: logging.Logger, what: str) -> AbstractContextManager[None]:
    """Around a wait: a line with what was done and the time it took, also where it failed. Free at other levels."""
    return _timing(logger, what) if logger.isEnabledFor(logging.DEBUG) else _UNTIMED


@contextmanager
def _timing(logger: logging.Logger, what: str) -> Iterator[None]:
    begun, ended = time.perf_counter(), ""
    try:
        yield
    except BaseException as error:
        ended = f", ended by {type(error).__name__}"
        raise
    finally:
        logger.debug("%s in %.1f ms%s", what, (time.perf_counter() - begun) * 1000, ended)
