"""Work that never ends keeps nobody waiting, and no second thread is begun beside it."""

import os
import threading
from pathlib import Path

import pytest

from fleet.aio.detached import Detached
from fleet.aio.files import read_bytes


async def test_work_that_hangs_is_waited_for_a_while_and_never_begun_twice() -> None:
    reading, hold, begun = Detached(seconds=0.05), threading.Event(), []

    def hang() -> None:
        begun.append(1)
        hold.wait()
        raise ValueError("nobody hears of it")

    for _ in range(5):
        with pytest.raises(TimeoutError):
            await reading.run(hang)
    assert len(begun) == 1
    hold.set()
    assert await Detached().run(lambda: "another") == "another"
    assert await reading.run(lambda: "the next") == "the next"


async def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(FileNotFoundError):
        await Detached().run(lambda: read_bytes(Path("nowhere")))


def test_a_named_pipe_is_no_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a named pipe, must be a file"):
        read_bytes(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"content")
    assert (read_bytes(tmp_path / "file"), read_bytes(tmp_path / "file", 3)) == (b"content", b"con")
