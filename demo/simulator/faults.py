"""Ways to make a simulated API server ill, and well again."""

import asyncio
from collections.abc import Awaitable, Callable

HTML = b"<html><head><title>Sign in</title></head><body>This is a captive portal.</body></html>"


class Faults:
    """The faults of one cluster. They hold for every request that comes, and for the watches that run.

    latency       seconds that each answer is late (and each event of a watch)
    failure       this status (500, 503, 401, 403 ...) is answered to everything
    wrong_content these bytes are answered to everything, as 200 text/html
    """

    def __init__(self, listen: Callable[[], Awaitable[None]], unlisten: Callable[[], Awaitable[None]]) -> None:
        self.latency = 0.0
        self.failure: int | None = None
        self.wrong_content: bytes | None = None
        self._answering = asyncio.Event()
        self._answering.set()
        self._watching = asyncio.Event()
        self._watching.set()
        self._listen = listen
        self._unlisten = unlisten
        self._watches: set[Callable[[], None]] = set()
        self._compact: Callable[[], None] = lambda: None

    def hang(self) -> None:
        """Connections are accepted and requests read, and nothing is answered; running watches fall silent."""
        self._answering.clear()

    def resume(self) -> None:
        """Ends `hang`: what waited is answered, late."""
        self._answering.set()

    @property
    def hanging(self) -> bool:
        return not self._answering.is_set()

    async def refuse(self) -> None:
        """Closes the listening socket and all connections: the next one is refused."""
        await self._unlisten()

    async def accept(self) -> None:
        """Ends `refuse`, on the same port."""
        await self._listen()

    def mute_watches(self) -> None:
        """Running and new watches stay open and say nothing, while everything else is answered; `clear` ends it."""
        self._watching.clear()

    def drop_watches(self) -> int:
        """Cuts the connection of every running watch in mid-air; answers how many there were."""
        watches = list(self._watches)
        for cut in watches:
            cut()
        return len(watches)

    def expire_versions(self) -> None:
        """Every version but the newest is answered with 410 from now on, continue tokens too."""
        self._compact()

    async def clear(self) -> None:
        self.latency, self.failure, self.wrong_content = 0.0, None, None
        self.resume()
        self._watching.set()
        await self._listen()

    @property
    def watches(self) -> int:
        return len(self._watches)

    async def gate(self) -> None:
        """Waits as long as the faults say."""
        await self._answering.wait()
        if self.latency:
            await asyncio.sleep(self.latency)
            await self._answering.wait()

    async def watch_gate(self) -> None:
        """Waits as long as the faults say before a watch's next line."""
        await self.gate()
        await self._watching.wait()

    def add_watch(self, cut: Callable[[], None]) -> None:
        self._watches.add(cut)

    def remove_watch(self, cut: Callable[[], None]) -> None:
        self._watches.discard(cut)

    def on_expire(self, compact: Callable[[], None]) -> None:
        """Says what `expire_versions` is to call."""
        self._compact = compact
