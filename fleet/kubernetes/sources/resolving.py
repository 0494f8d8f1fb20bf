"""From what is said of all clusters to what can be connected to: plugins run once, again when that is due."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleet.aio.tasks import end_tasks
from fleet.kubernetes.auth.kubeconfig import Access
from fleet.kubernetes.sources.access import (
    CredentialError,
    Reachable,
    TlsMaterialError,
    access_fingerprint,
    load_reachable,
)

logger = logging.getLogger(__name__)

# What is wrong although its text did not change (an exec plugin, a file) is tried again this often.
_RETRY_SECONDS = 15.0
# Plugins are programs: of hundreds that start at once none would end in its time.
_AT_ONCE = 8
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class _Resolved:
    """`text` is the fingerprint of the access that it was made of, `retry_at` a loop time."""

    text: str
    outcome: Reachable | str
    retry_at: float = float("inf")

    def is_due(self, now: float) -> bool:
        return now >= self.retry_at if isinstance(self.outcome, str) else self.outcome.expired


class Resolver:
    """What each name leads to, as far as it is known; what was known stays until something newer is.

    `timeout` bounds a plugin's run in seconds, `on_change` is called when one has ended.
    """

    def __init__(
        self,
        timeout: float,
        on_change: Callable[[], None] = lambda: None,
        *,
        retry_seconds: float = _RETRY_SECONDS,
    ) -> None:
        self._timeout = timeout
        self._on_change = on_change
        self._retry_seconds = retry_seconds
        self._known: dict[str, _Resolved] = {}
        self._running: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._was_asked = False
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def __getitem__(self, name: str) -> Reachable | str | None:
        """What to connect to, or what is wrong; None where that is not known."""
        known = self._known.get(name)
        return None if known is None else known.outcome

    @property
    def is_due(self) -> bool:
        """Whether something has to be resolved anew although nothing is said anew."""
        now = asyncio.get_running_loop().time()
        return any(known.is_due(now) for name, known in self._known.items() if name not in self._running)

    async def resolve(self, ways: Mapping[str, Access | str], patience: float | None = None) -> None:
        """Takes what is said of all: an access, or what is wrong. Their names begin messages.

        Only what changed or is due is resolved. Waits `patience` seconds for that: left out, as long as a
        plugin may take the first time, and later a second, as others are waiting that are known.
        """
        for name in self._known.keys() - ways.keys():
            del self._known[name]
        stale = [self._running.pop(name)[1] for name in self._running.keys() - ways.keys()]
        now = asyncio.get_running_loop().time()
        for name, way in ways.items():
            text = "" if isinstance(way, str) else access_fingerprint(way)
            running, known = self._running.get(name), self._known.get(name)
            if running is not None:
                if running[0] == text:
                    continue
                stale.append(self._running.pop(name)[1])
            if isinstance(way, str):
                self._known[name] = _Resolved(text, way)
            elif known is None or known.text != text or known.is_due(now):
                self._running[name] = text, asyncio.create_task(self._load(name, way, text))
        await end_tasks(*stale)
        if patience is None:
            patience = _PATIENCE_SECONDS if self._was_asked else self._timeout + _PATIENCE_SECONDS
        self._was_asked = True
        if self._running:
            await asyncio.wait([task for _, task in self._running.values()], timeout=patience)

    async def close(self) -> None:
        """Ends what runs."""
        running, self._running = self._running, {}
        await end_tasks(*(task for _, task in running.values()))

    async def _load(self, name: str, access: Access, text: str) -> None:
        outcome: Reachable | str
        retry_at = float("inf")
        async with self._slots:
            try:
                outcome = await load_reachable(name, access, self._timeout)
            except (CredentialError, TlsMaterialError) as error:
                outcome, retry_at = f"{name}: {error}", asyncio.get_running_loop().time() + self._retry_seconds
            except Exception:  # the last seam: one member's credential never costs the others theirs
                logger.exception("the credential of %s can't be read", name)
                outcome = f"{name}: its credential can't be read; the log says why"
                retry_at = asyncio.get_running_loop().time() + self._retry_seconds
        self._known[name] = _Resolved(text, outcome, retry_at)
        self._running.pop(name, None)
        self._on_change()
