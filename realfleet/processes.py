"""Server processes: started in a session of their own, waited for by readiness, stopped by their own process id."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

_UNDERTAKER = Path(__file__).with_name("undertaker.py")
_POLL = 0.1  # seconds between two looks at a condition
_STOP_TIMEOUT = 5.0
_KILL_TIMEOUT = 10.0
_TAIL_LINES = 15


class FleetError(Exception):
    """A fleet could not be brought where it should be.

    FleetError
    +-- ServerDiedError    a server ended by itself; the message has the end of its log
    +-- NotReadyError      a condition was not met in time
    +-- FleetClosedError   the fleet is being closed while something still waits for it
    """


class ServerDiedError(FleetError):
    """A server ended by itself; the message has the end of its log."""


class NotReadyError(FleetError):
    """A condition was not met in time; the message says which."""


class FleetClosedError(FleetError):
    """The fleet is being closed while something still waits for it."""


class Server:
    """One server program, which may be stopped and started again with the same arguments. Made by `Servers.start`."""

    def __init__(self, name: str, command: Sequence[str], log: Path, report: Callable[[str], None]) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises ServerDiedError where nothing runs."""
        if self._process is None:
            raise ServerDiedError(f"{self.name} is stopped")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def died(self) -> bool:
        """Whether it ended without being stopped."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        """Starts the program, unless it runs; its output is appended to the log. Readiness is another matter."""
        if self.is_running:
            return
        with self.log.open("ab") as output:
            # Ended by `stop` or by the undertaker, so there is no `with` to leave.
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.log.parent,
            )
        self._process = process
        self._report(f"+{process.pid}\n")

    def stop(self, timeout: float = _STOP_TIMEOUT) -> None:
        """SIGTERM, then SIGKILL after `timeout` seconds; returns when the process is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process, signal.SIGTERM)
        # A paused process takes SIGTERM only once it runs again.
        _signal_group(process, signal.SIGCONT)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            process.wait(_KILL_TIMEOUT)
        self._report(f"-{process.pid}\n")

    def kill(self) -> None:
        """SIGKILL, so that it has no last word; returns when the process is gone."""
        process, self._process = self._process, None
        if process is not None:
            _signal_group(process, signal.SIGKILL)
            process.wait(_KILL_TIMEOUT)
            self._report(f"-{process.pid}\n")

    def pause(self) -> None:
        """SIGSTOP: connections are accepted by the kernel and nothing is ever answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def read_log_end(self) -> str:
        """The last lines it wrote."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # Only a process not yet waited for: its id cannot have been given to another one.
    if process.poll() is None:
        os.killpg(process.pid, number)


class Servers:
    """All servers of a fleet and the folder they keep their files in. Made by `open_servers`."""

    def __init__(self, folder: Path, undertaker: subprocess.Popen[str]) -> None:
        self.folder = folder
        self._undertaker = undertaker
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._servers: list[Server] = []

    def start(self, name: str, command: Sequence[str]) -> Server:
        """Starts a server whose log is `NAME.log` in the folder. Raises FleetClosedError."""
        with self._lock:
            if self._closing.is_set():
                raise FleetClosedError(f"{name} is not started: the fleet is being closed")
            server = Server(name, command, self.folder / f"{name}.log", self._report)
            server.start()
            self._servers.append(server)
        return server

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        """Looks until the condition holds. Raises NotReadyError, ServerDiedError and FleetClosedError."""
        deadline = time.monotonic() + timeout
        while not condition():
            for server in tuple(self._servers):
                if server.died:
                    raise ServerDiedError(f"{server.name} ended while waiting until {what}:\n{server.read_log_end()}")
            if time.monotonic() >= deadline:
                raise NotReadyError(f"not within {timeout:g} s: {what}")
            if self._closing.wait(_POLL):
                raise FleetClosedError(f"closed while waiting until {what}")

    @property
    def pids(self) -> list[int]:
        """Process ids of the servers that run."""
        return [server.pid for server in tuple(self._servers) if server.is_running]

    def stop_all(self) -> None:
        """Stops every server, the youngest first to be told, all at once waited for."""
        with self._lock:
            self._closing.set()
        with ThreadPoolExecutor(max_workers=max(1, len(self._servers))) as pool:
            # What a fleet holds is thrown away: nobody needs the long farewell of an API server.
            list(pool.map(lambda server: server.stop(timeout=1.0), reversed(self._servers)))

    def _report(self, line: str) -> None:
        if self._undertaker.stdin is None:
            raise FleetClosedError("the undertaker has no standard input")
        try:
            self._undertaker.stdin.write(line)
            self._undertaker.stdin.flush()
        except BrokenPipeError as error:
            raise ServerDiedError("the undertaker is gone: servers could outlive this process") from error


@contextmanager
def open_servers() -> Iterator[Servers]:
    """A folder for a fleet and its servers; leaving it stops every server and removes the folder.

    So does the death of this process, by whatever signal.
    """
    folder = Path(tempfile.mkdtemp(prefix="realfleet-"))
    try:
        undertaker = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_UNDERTAKER), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            # A Ctrl-C in the terminal is for the fleet's process alone.
            start_new_session=True,
        )
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # Leaving this `with` closes the pipe and waits for the undertaker, which removes the folder.
    with undertaker:
        servers = Servers(folder, undertaker)
        try:
            yield servers
        finally:
            servers.stop_all()
