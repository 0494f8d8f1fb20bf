"""Memory that was freed goes back to the system."""

import asyncio
import platform
import sys
from asyncio.subprocess import PIPE

import pytest

from server.free_memory import KEPT_BYTES

MIB = 1024 * 1024
SAID = """
from pathlib import Path
from server.free_memory import bound_free_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

bound_free_memory()
before = resident()
for size, count in ((30 << 20, 1), (1 << 20, 40)):
    blocks = [b"x" * size for _ in range(count)]
    del blocks
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="these are glibc's bounds")
async def test_a_large_block_that_was_freed_does_not_raise_what_is_kept() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SAID, stdout=PIPE)
    said, _ = await process.communicate()
    assert int(said) < KEPT_BYTES + MIB
