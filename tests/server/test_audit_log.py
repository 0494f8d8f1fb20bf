"""Lines are written whole, rotated and shared; no disk that is full or hangs stops anybody, and losses are said."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.audit_log import AuditLog, RotatedFile, open_audit_log
from server.queued_lines import MOST_WAITING
from server.settings.disclosure import DisclosureSettings
from tests.fakes.waiting import until


@contextmanager
def open_log(target: str) -> Iterator[AuditLog]:
    with open_audit_log(DisclosureSettings(audit_log=target)) as log:
        assert log is not None
        yield log


def read_lines(folder: Path, name: str) -> list[dict[str, object]]:
    """Of all files, the oldest first."""
    files = sorted(folder.glob(f"{name}*"), key=lambda path: -int(path.suffix[1:] or 0) if path.name != name else 0)
    return [json.loads(line) for path in files for line in path.read_bytes().splitlines()]


def test_a_line_is_an_object_in_a_file_of_its_owner(tmp_path: Path) -> None:
    with open_log(str(tmp_path / "audit")) as log:
        for number in range(1_000):
            log.write({"number": number, "user": "ann\nbob"})
    assert [line["number"] for line in read_lines(tmp_path, "audit")] == list(range(1_000))
    assert (tmp_path / "audit").stat().st_mode & 0o077 == 0
    assert (log.written, log.dropped, log.problem) == (1_000, 0, None)


def test_a_name_that_is_no_text_keeps_no_line_out(tmp_path: Path) -> None:
    with open_log(str(tmp_path / "audit")) as log:
        log.write({"user": "eve", "groups": ["\ud800"]})
    assert read_lines(tmp_path, "audit") == [{"user": "eve", "groups": ["\ud800"]}]


def test_a_file_is_rotated_before_it_is_too_large_and_the_oldest_goes(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "audit", 1_000, 2)
    for number in range(100):
        file.write(b'{"number": %3d, "more": "%b"}\n' % (number, b"x" * 70))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit", "audit.1", "audit.2"]
    assert all(path.stat().st_size <= 1_000 for path in tmp_path.iterdir())
    kept = [line["number"] for line in read_lines(tmp_path, "audit")]
    assert kept == list(range(100))[-len(kept) :]


def write_many(path: Path, writer: int) -> None:
    file = RotatedFile(path, 20_000, 100)
    for number in range(500):
        file.write(b'{"writer": %d, "number": %d, "more": "%b"}\n' % (writer, number, b"x" * 100))


def test_workers_share_a_file_and_tear_no_line(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3) as workers:
        list(workers.map(write_many, [tmp_path / "audit"] * 3, range(3)))
    lines = read_lines(tmp_path, "audit")
    assert len(lines) == 1_500
    for writer in range(3):
        assert [line["number"] for line in lines if line["writer"] == writer] == list(range(500))


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "audit", 1 << 20, 2)
    file.write(b"{}\n")
    (tmp_path / "audit").rename(tmp_path / "kept")
    file.write(b'{"a": 1}\n')
    assert [(tmp_path / name).read_bytes() for name in ("kept", "audit")] == [b"{}\n", b'{"a": 1}\n']


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux'")
async def test_a_full_disk_stops_nothing_and_is_told_until_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server")
    path = tmp_path / "audit"
    path.symlink_to("/dev/full")
    with open_log(str(path)) as log:
        log.write({"number": 1})
        await until(lambda: log.problem is not None)
        assert "No space left on device; 1 lines are lost" in str(log.problem)
        path.unlink()
        log.write({"number": 2})
        await until(lambda: log.written == 1)
        assert (log.problem, log.dropped) == (None, 1)
    kept = read_lines(tmp_path, "audit")
    assert [line.get("number", line.get("lines")) for line in kept] == [1, 2]
    assert kept[0]["kind"] == "lost"
    assert ["No space left" in message for message in caplog.messages] == [True, False]
    assert "is written again; 1 lines are lost" in caplog.messages[1]


async def test_a_disk_that_hangs_holds_nobody_up_and_is_told() -> None:
    goes_on, written = threading.Event(), list[bytes]()

    def write(lines: bytes) -> None:
        goes_on.wait()
        written.append(lines)

    log = AuditLog("a disk", write, stuck_seconds=0.05)
    for number in range(MOST_WAITING + 600):
        log.write({"number": number})
    await until(lambda: log.problem is not None)
    assert "has taken nothing" in str(log.problem)
    assert log.dropped > 0
    goes_on.set()
    await until(lambda: log.written + log.dropped == MOST_WAITING + 600 and log.problem is None)
    log.close()
    lost = [json.loads(line) for line in b"".join(written).splitlines() if b'"lost"' in line]
    assert sum(line["lines"] for line in lost) == log.dropped


def test_standard_output_takes_lines(capfd: pytest.CaptureFixture[str]) -> None:
    with open_log("-") as log:
        log.write({"number": 1})
    assert capfd.readouterr().out == '{"number":1}\n'
