"""Failed sign-ins: who may try again when, so that guessing is slow and locks nobody out.

A pair of a user and an address waits longer after each wrong password, an address that fails with many names until its
minute is over. Nothing is ever refused to a user as such: from an address of their own the right password counts at
once, however many guess elsewhere. A pair that signed in before is not held to what its address does otherwise, since
many may share one. Names count as they were typed, whether or not there is such a user: waiting tells nothing of it.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Hashable
from typing import TypeVar
from weakref import WeakValueDictionary

from msgspec import Struct

from auth.errors import TooManyLogins
from fleet.aio.lru import Lru

FREE_OF_A_PAIR = 5
"""Wrong passwords of a user from an address without any waiting."""
FREE_UNDER_ATTACK = 1
"""The same, once the user has had `ATTACKED` wrong passwords from anywhere within a window."""
ATTACKED = 50
FREE_OF_AN_ADDRESS = 60
"""Wrong passwords from an address within a window, whatever the names."""
WINDOW_SECONDS = 60.0
LONGEST_WAIT = 60.0
FORGOTTEN_AFTER = 3600.0
"""Seconds after its last wrong password that a pair starts anew."""
MAX_KEPT = 20_000
_MAX_NAME = 200

K = TypeVar("K", bound=Hashable)


class _Failures(Struct):
    """`since` is when the first of `count` was, `until` when the next attempt is looked at; in `clock` seconds."""

    since: float
    count: int = 0
    until: float = 0.0


class Attempts:
    """What this process remembers of failed sign-ins; the longest unasked is forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pairs: Lru[tuple[str, str], _Failures] = Lru(MAX_KEPT)
        self._addresses: Lru[str, _Failures] = Lru(MAX_KEPT)
        self._names: Lru[str, _Failures] = Lru(MAX_KEPT)
        self._familiar: Lru[tuple[str, str], bool] = Lru(MAX_KEPT)
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def one_of(self, address: str, name: str) -> asyncio.Lock:
        """For one attempt of the pair at a time: the next one learns what came of it before its own is looked at."""
        pair = (address, name[:_MAX_NAME])
        lock = self._locks.get(pair)
        if lock is None:
            lock = self._locks[pair] = asyncio.Lock()
        return lock

    def check(self, address: str, name: str) -> None:
        """Lets an attempt pass whose password is worth looking at. Raises TooManyLogins with the seconds to wait."""
        now, pair = self._clock(), (address, name[:_MAX_NAME])
        failures = self._pairs.get(pair)
        if failures is not None and failures.until > now:
            raise TooManyLogins(failures.until - now)
        of_address = self._addresses.get(address)
        if of_address is not None and not self._familiar.get(pair):
            left = of_address.since + WINDOW_SECONDS - now
            if of_address.count >= FREE_OF_AN_ADDRESS and left > 0:
                raise TooManyLogins(left)

    def add_failure(self, address: str, name: str) -> None:
        name = name[:_MAX_NAME]
        now = self._clock()
        of_name = self._add(self._names, name, WINDOW_SECONDS, now)
        self._add(self._addresses, address, WINDOW_SECONDS, now)
        failures = self._add(self._pairs, (address, name), FORGOTTEN_AFTER, now)
        free = FREE_OF_A_PAIR if of_name.count <= ATTACKED else FREE_UNDER_ATTACK
        if failures.count >= free:
            failures.until = now + min(2.0 ** min(failures.count - free, 10), LONGEST_WAIT)
        failures.since = now

    def add_success(self, address: str, name: str) -> None:
        pair = (address, name[:_MAX_NAME])
        self._pairs.discard(pair)
        self._familiar.put(pair, True)

    @staticmethod
    def _add(kept: Lru[K, _Failures], key: K, window: float, now: float) -> _Failures:
        found = kept.get(key)
        if found is None or now - found.since > window:
            found = _Failures(now)
            kept.put(key, found)
        found.count += 1
        return found


def normalise_address(host: str) -> str:
    """Who an address stands for: of IPv6 the network of 64 bits, which one caller has whole."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:_MAX_NAME]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
