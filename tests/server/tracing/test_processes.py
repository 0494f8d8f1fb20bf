"""Processes that trace: each sends its own, and the last before it ends."""

import re
import sys
from pathlib import Path

import pytest

from tests.fakes.span_sink import open_span_sink
from tests.fakes.waiting import until
from tests.server.test_serve import ask, ended, environ, open_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several workers share a port on Linux alone")

_INSTANCE = re.compile(rb"service\.instance\.id\x12&\n\$([0-9a-f-]{36})")


async def test_each_worker_sends_its_own_and_the_last_before_it_ends(tmp_path: Path) -> None:
    with open_span_sink() as sink:
        variables = environ(tmp_path, OPENMCP_WORKERS="2", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)
        url = f"http://127.0.0.1:{variables['OPENMCP_PORT']}"
        async with open_process(variables) as process:

            async def both_have_sent() -> bool:
                await ask(f"{url}/schema.graphql")  # whichever takes the connection
                return len({found for body in list(sink.raw) for found in _INSTANCE.findall(body)}) == 2

            await until(both_have_sent, what="spans of both workers", every=0.05)
            await ask(f"{url}/version")
            process.terminate()
            assert (await ended(process))[0] == 0
        assert b"GET /version" in b"".join(sink.raw)
