"""All connections of the users' ports: how many there may be, of one address too, and how long one may take nothing."""

import asyncio
import fcntl
import logging
import resource
import socket
import struct
import sys
import termios
from collections import Counter
from collections.abc import Collection
from ipaddress import ip_address, ip_network
from typing import Protocol, cast

from msgspec import Struct

from auth.attempts import normalise_address
from fleet.aio.complaints import Complaints
from server.asgi.cork import Corked

RESERVED = 64
"""Descriptors for what is open anyhow: files, the ops port, members' kept connections, threads' pipes."""

CROWDED = 0.9
"""Of what there may be: from here on connections that nobody uses are closed for new ones."""

YOUNG_SECONDS = 1.0
"""A new connection is not taken for an unused one: its request is on its way."""

MIN_TAKEN = 8 * 1024
"""Bytes that a caller for whom bytes wait has to take within the time that it may take nothing."""

LOOKS = 6
"""How often it is looked within that time who takes nothing."""

_log = logging.getLogger(__name__)


class ConnectionOptions(Struct, frozen=True):
    """`most` connections, `most_of_an_address` of one that is none of the `proxies`.

    `stall_seconds` is how long a caller may take nothing.
    """

    most: int = 1 << 30
    most_of_an_address: int = 1 << 30
    stall_seconds: float = 30.0
    proxies: Collection[str] = ()


class Idle(Protocol):
    """A connection's protocol."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered on it."""


class _Place(Struct):
    """`taken` bytes had gone at `since`, in the loop's time, while more waited; None where none wait."""

    protocol: Idle
    address: str
    opened_at: float
    taken: int = 0
    since: float | None = None


class Connections:
    """Those of a process. `stalled` counts who was cut off for taking nothing, `refused` who was not let in."""

    def __init__(self, options: ConnectionOptions | None = None) -> None:
        self.options = options or ConnectionOptions()
        self.stalled = self.refused = 0
        self._places: dict[asyncio.Transport, _Place] = {}
        self._addresses: Counter[str] = Counter()
        self._proxies = [ip_network(proxy, strict=False) for proxy in self.options.proxies]
        self._complaints = Complaints()
        self._idle_again_at = 0.0

    def __len__(self) -> int:
        return len(self._places)

    def admit(self, transport: asyncio.Transport, protocol: Idle, host: str) -> str | None:
        """Takes a connection in, or says why not."""
        address = normalise_address(host)
        crowded = len(self._places) >= self.options.most * CROWDED
        if crowded:
            self._close_idle()
            if self._complaints.is_due("connections", "crowded"):
                _log.warning(
                    "%d connections of %d are open: those nobody uses are closed", len(self), self.options.most
                )
        if len(self._places) >= self.options.most:
            self.refused += 1
            return f"{self.options.most} connections are open, which is all that this server holds: try again soon"
        if self._addresses[address] >= self.options.most_of_an_address and not self._is_proxy(host):
            self.refused += 1
            return f"{self._addresses[address]} connections of your address are open: close some of them first"
        self._addresses[address] += 1
        self._places[transport] = _Place(protocol, address, asyncio.get_running_loop().time())
        return None

    def leave(self, transport: asyncio.Transport) -> None:
        """A connection has ended."""
        place = self._places.pop(transport, None)
        if place is not None:
            self._addresses[place.address] -= 1
            if not self._addresses[place.address]:
                del self._addresses[place.address]

    async def watch(self) -> None:
        """Cuts off who takes nothing, until it is cancelled."""
        while True:
            await asyncio.sleep(self.options.stall_seconds / LOOKS)
            self.cut_stalled()

    def cut_stalled(self) -> None:
        """Aborts the connections for which bytes wait, and have waited since long ago."""
        now = asyncio.get_running_loop().time()
        for transport, place in list(self._places.items()):
            if not transport.get_write_buffer_size():
                place.since = None
                continue
            taken = cast("Corked", transport).written - count_waiting(transport)
            if place.since is None or taken >= place.taken + MIN_TAKEN:
                place.taken, place.since = taken, now
            elif now - place.since >= self.options.stall_seconds:
                self.stalled += 1
                _log.info("%s was cut off: it took nothing for %g s", place.address, self.options.stall_seconds)
                transport.abort()

    def _close_idle(self) -> None:
        """Makes room for a tenth of all by closing connections on which nothing is asked, the oldest first."""
        now = asyncio.get_running_loop().time()
        if now < self._idle_again_at:
            return
        oldest = now - YOUNG_SECONDS
        idle = [one for one, place in self._places.items() if place.opened_at <= oldest and place.protocol.is_idle]
        if not idle:  # to look through all of them for each new one would cost more than it is worth
            self._idle_again_at = now + YOUNG_SECONDS / 4
        for transport in idle[: max(1, self.options.most // 10)]:
            transport.close()
            self.leave(transport)

    def _is_proxy(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def count_waiting(transport: asyncio.Transport) -> int:
    """Bytes that were written and not confirmed by the caller's system; on others than Linux those that are here."""
    waiting: int = transport.get_write_buffer_size()
    made: socket.socket | None = transport.get_extra_info("socket")
    if sys.platform.startswith("linux") and made is not None and made.fileno() >= 0:
        waiting += struct.unpack("i", fcntl.ioctl(made.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    return waiting


def raise_descriptor_limit() -> int:
    """Lets this process have as many descriptors as it may; says how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, 1 << 20)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def count_most(descriptors: int, asked: int) -> int:
    """How many connections there may be, each of which may need a second descriptor for a member."""
    return max(8, min(asked or descriptors, (descriptors - RESERVED) // 2))
