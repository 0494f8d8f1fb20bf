"""Several processes that serve the same ports, and the one that starts them, replaces those that die and ends them.

Each worker is a whole server with a cache of its own. They are forked from a process that has imported everything and
started nothing (no loop, no thread, no connection), so that they share its memory, and one that dies is back at once.
Each listens by itself (`SO_REUSEPORT`): the kernel deals connections out among those that listen now, so none waits
for a worker that is starting. Source: socket(7), fork(2).
"""

import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

from server.binding import list_ports, reserve_port
from server.log_handler import queued_logs
from server.settings.environment import SettingsInvalid
from server.settings.groups import Settings
from server.workers.peers import Worker

SHORTEST_LIFE_SECONDS = 10.0
"""A worker that dies younger than this is replaced after a while, the longer the more often."""
LONGEST_PAUSE_SECONDS = 15.0
END_SECONDS = 2.0
"""How long a worker may take to end beyond the time that its requests have for it: it leaves by itself before."""

_FIRST_PAUSE_SECONDS = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Serve = Callable[[Settings, Worker, Callable[[], None]], None]
"""Serves as a worker until SIGTERM, and calls the third once it listens; leaves by SystemExit with a code."""

_log = logging.getLogger(__name__)


class _Child:
    """A worker's process. `report` says once that it listens, and ends with it."""

    def __init__(self, number: int, pid: int, report: int) -> None:
        self.number = number
        self.pid = pid
        self.report = report
        self.started_at = time.monotonic()


class _Supervisor:
    """Starts workers and looks after them. Every method runs in the one thread of the one process that forks."""

    def __init__(self, settings: Settings, serve: Serve, folder: Path) -> None:
        self._settings = settings
        self._serve = serve
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, _Child] = {}
        self._due: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._has_listened: set[int] = set()
        self._kill_at: float | None = None
        self._code = 0
        # Workers see the end of this pipe when this process is gone, however it went.
        self._lifeline = os.pipe()
        self._wakeup = socket.socketpair()

    def run(self) -> int:
        """Until all workers have ended. The exit code."""
        count = self._settings.http.workers
        for end in self._wakeup:
            end.setblocking(False)
        self._selector.register(self._wakeup[0], selectors.EVENT_READ)
        with self._signals():
            for number in range(count):
                self._start(number)
            while self._children or self._due:
                for key, _ in self._selector.select(self._wait_seconds()):
                    self._read_report(key.data) if isinstance(key.data, _Child) else self._wakeup[0].recv(4096)
                self._reap()
                self._start_due()
        self._selector.close()
        return self._code

    def _start(self, number: int) -> None:
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal must find the parent knowing its child, and the child with handlers of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            self._become_worker(number, write_end)
        os.close(write_end)
        child = _Child(number, pid, read_end)
        self._children[pid] = child
        self._selector.register(read_end, selectors.EVENT_READ, child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _become_worker(self, number: int, report: int) -> None:
        """Never returns: what the parent has on its stack is none of a worker's business."""
        code: object = 1
        try:
            self._reset_after_fork()
            worker = Worker(number, self._settings.http.workers, self._folder, self._lifeline[0])
            self._serve(self._settings, worker, partial(_report_listening, report))
            code = 0
        except SystemExit as left:
            code = left.code
        except BaseException:  # noqa: BLE001 - the end of the process: whatever it was is said before it
            _log.exception("worker %d failed", number)
        finally:
            logging.shutdown()
            os._exit(code if isinstance(code, int) else 1)

    def _reset_after_fork(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.setpgid(0, 0)  # Ctrl-C is for the parent, which tells the workers
        self._selector.close()
        for end in self._wakeup:
            end.close()
        for peer in self._children.values():
            if peer.report >= 0:
                os.close(peer.report)
        os.close(self._lifeline[1])

    def _read_report(self, child: _Child) -> None:
        said = os.read(child.report, 1)
        self._selector.unregister(child.report)
        os.close(child.report)
        child.report = -1
        if said:
            self._has_listened.add(child.number)
            if len(self._has_listened) == self._settings.http.workers and child.number not in self._pauses:
                _log.info("%d workers listen", len(self._has_listened))

    def _reap(self) -> None:
        for child in list(self._children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self._children[pid]
                if child.report >= 0:
                    self._read_report(child)
                self._on_exit(child, os.waitstatus_to_exitcode(status))

    def _on_exit(self, child: _Child, code: int) -> None:
        if self._kill_at is not None:
            self._code = self._code or max(code, 0)
            return
        if child.number not in self._has_listened:
            # What ends a worker before it ever served would end each that follows it: it has said why.
            self._code = code if code > 0 else 1
            self._stop()
            return
        life = time.monotonic() - child.started_at
        pause = self._pauses.get(child.number, 0.0) * 2 or _FIRST_PAUSE_SECONDS
        self._pauses[child.number] = 0.0 if life > SHORTEST_LIFE_SECONDS else min(pause, LONGEST_PAUSE_SECONDS)
        self._due[child.number] = time.monotonic() + self._pauses[child.number]
        _log.error("worker %d (process %d) ended with %d: another one is started", child.number, child.pid, code)

    def _start_due(self) -> None:
        if self._kill_at is not None:
            self._due.clear()
            if time.monotonic() > self._kill_at:
                self._signal_all(signal.SIGKILL)
            return
        for number in [number for number, moment in self._due.items() if moment <= time.monotonic()]:
            del self._due[number]
            self._start(number)

    def _wait_seconds(self) -> float | None:
        moments = [*self._due.values(), *([self._kill_at] if self._kill_at is not None else [])]
        return max(0.0, min(moments) - time.monotonic()) + 0.01 if moments else None

    def _stop(self, number: int = signal.SIGTERM) -> None:
        """Ends all: a first time well, a second time at once."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._settings.http.shutdown_grace + END_SECONDS
        self._signal_all(number)

    def _signal_all(self, number: int) -> None:
        for child in list(self._children.values()):
            os.kill(child.pid, number)  # not reaped yet, so the number is still its own

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(number: int, _frame: FrameType | None) -> None:
            self._stop(number)

        signal.set_wakeup_fd(self._wakeup[1].fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # to be woken
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)


def run_workers(settings: Settings, serve: Serve) -> int:
    """Serves with `settings.http.workers` processes until SIGTERM or SIGINT; the exit code.

    Ports are taken before any worker starts. Raises SettingsInvalid for a port that can't be used, and where the system
    has no way to share one.
    """
    if not (hasattr(socket, "SO_REUSEPORT") and hasattr(os, "fork")):
        raise SettingsInvalid([f"OPENMCP_WORKERS is {settings.http.workers}, must be 1 on this system"])
    with contextlib.ExitStack() as stack:
        settings = _reserve_ports(settings, stack)
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openmcp-")))
        except OSError as error:
            needs = "needs a folder for temporary files: set TMPDIR to one that can be written"
            raise SettingsInvalid([f"OPENMCP_WORKERS is {settings.http.workers}, {needs}"]) from error
        stack.enter_context(queued_logs(threaded=False))
        gc.collect()
        gc.freeze()  # a collection in a worker would write to, and so copy, what it shares
        return _Supervisor(settings, serve, folder).run()


def _reserve_ports(settings: Settings, stack: contextlib.ExitStack) -> Settings:
    """The settings with ports that were free, held until the stack is left."""
    wanted = [port for port in list_ports(settings.http) if port is not None]
    held = {port.field: stack.enter_context(reserve_port(port)) for port in wanted}
    return settings.model_copy(update={"http": settings.http.model_copy(update=held)})


def _report_listening(report: int) -> None:
    os.write(report, b"1")
    os.close(report)
