"""The connection to NATS: made in the background, made anew for ever, and complained of once.

FleetError
└── StateUnavailable   NATS can't be reached, or does not answer as JetStream; the message says why
Fenced                 somebody else writes this member by now: write nothing more of it
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

from nats.errors import Error, StaleConnectionError
from nats.js import JetStreamContext

from fleet.aio.complaints import Complaints
from fleet.aio.tasks import open_task
from fleet.model.errors import FleetError
from fleet.model.told import Told, detail_of
from fleet.replication.access import Access, AccessInvalid
from fleet.replication.client import NatsClient
from fleet.replication.options import NatsOptions
from fleet.replication.room import Room

logger = logging.getLogger(__name__)

UNREACHABLE = "the shared state can't be reached"
_CONNECT_SECONDS = 2
_ANSWER_SECONDS = 2.0
"""For an answer of JetStream: what is lost while a leader is elected is asked again."""
_RETRY_SECONDS = 1
_PING_SECONDS = 2
"""A server that answers none of three in a row is left for another."""
_PROMPT_SECONDS = 0.5
_RENEW_SECONDS = 30.0
"""A client that has not been connected for so long is made anew, with what its files hold by then."""
_STEADY_SECONDS = 10.0
"""What ends after less is told no more often than what lasts."""
_CLOSE_SECONDS = 2.0
_CUT_OFF = (BrokenPipeError, ConnectionResetError)
_NOT_PERMITTED = "permissions violation"
_WRITER_INBOX, _FOLLOWER_INBOX = b"_INBOX", b"_INBOX.follower"
"""Where answers are sent; another account's followers are given theirs, and no writer's."""


class StateUnavailable(FleetError):
    """The shared state can't be asked now."""


class Fenced(Exception):
    """The stream has messages of another writer: this replica holds the member's lease no more."""


class Nats:
    """The connection as it is now. Made by `open_nats`."""

    def __init__(self, options: NatsOptions) -> None:
        self.name = f"NATS at {', '.join(urlsplit(url).netloc.rpartition('@')[2] for url in options.servers)}"
        self.problem: str | None = Told(UNREACHABLE, f"{self.name}: no connection yet")
        """Why it is not connected, in both wordings; None where it is."""
        self.error: Exception | None = None
        """What the problem was made of, where it was an error."""
        self.refused: str | None = None
        """What the account may not do, in the server's words about the last that was tried."""
        self.room = Room()
        self._options = options
        self._inbox = _WRITER_INBOX if options.writes else _FOLLOWER_INBOX
        self._client: NatsClient | None = None
        self._context: JetStreamContext | None = None
        self._since = time.monotonic()
        """When the connection last came or went."""
        self._kind = "lost"
        self._complaints = Complaints()
        self._listeners: dict[object, Callable[[], None]] = {}
        self._connected = asyncio.Event()
        self._turned = asyncio.Event()
        """Set by whatever may have ended the client."""

    @property
    def is_connected(self) -> bool:
        return self.problem is None

    @property
    def js(self) -> JetStreamContext:
        """Of the connection there is now: not to be kept. Raises StateUnavailable where there is none."""
        if self.problem is not None or self._context is None:
            raise StateUnavailable(self.problem)
        return self._context

    @property
    def client(self) -> NatsClient:
        """Of the connection there is now: not to be kept. Raises StateUnavailable where there is none."""
        if self.problem is not None or self._client is None:
            raise StateUnavailable(self.problem or UNREACHABLE)
        return self._client

    @property
    def is_prompt(self) -> bool:
        """Whether what the server says now is heard at once, as far as its last answers tell."""
        return self._client is not None and self._client.trip < _PROMPT_SECONDS

    @property
    def max_payload(self) -> int:
        """Bytes that the server takes as one message, headers included."""
        return self._client.max_payload if self._client is not None else 0

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls the listener whenever the connection comes or goes, until what is given back is called."""
        key = object()
        self._listeners[key] = listener

        def unlisten() -> None:
            self._listeners.pop(key, None)

        return unlisten

    async def wait_connected(self) -> None:
        await self._connected.wait()

    def follow_only(self) -> None:
        """The account turned out to be a follower's: connects anew, so that answers are sent where it is given them."""
        self._inbox = _FOLLOWER_INBOX
        self._turned.set()

    async def run(self) -> None:
        """Connects, and does so anew whatever ends a client. Endless."""
        while True:
            try:
                await self._live_one_client(await asyncio.to_thread(Access, self._options))
            except (Error, OSError, AccessInvalid) as error:
                await self._note_error(error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _live_one_client(self, access: Access) -> None:
        client, inbox = NatsClient(encrypted=access.encrypted), self._inbox
        self._client = client
        self._context, self._since = client.jetstream(timeout=_ANSWER_SECONDS), time.monotonic()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RENEW_SECONDS):
                    await self._connect(client, access)
                self._note(
                    None if client.is_connected else "it closes the connection, does it want a client certificate?"
                )
            while not client.is_closed and (self.is_connected or time.monotonic() < self._since + _RENEW_SECONDS):
                if self._inbox != inbox:
                    break
                self._turned.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_RENEW_SECONDS):
                        await self._turned.wait()
            if self.is_connected:
                self._note("the connection was lost")
        finally:
            with contextlib.suppress(Error, OSError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await client.close()
            client.abort()

    async def _connect(self, client: NatsClient, access: Access) -> None:
        async def came() -> None:
            self._note(None)

        async def went() -> None:
            if not client.is_closed:
                self._note("the connection was lost")

        async def ended() -> None:
            self._turned.set()

        options = self._options
        await client.connect(
            list(options.servers),
            name=f"openmcp-apiserver {options.replica}",
            inbox_prefix=self._inbox,
            error_cb=self._note_error,
            disconnected_cb=went,
            reconnected_cb=came,
            closed_cb=ended,
            connect_timeout=_CONNECT_SECONDS,
            reconnect_time_wait=_RETRY_SECONDS,
            max_reconnect_attempts=-1,
            ping_interval=_PING_SECONDS,
            flusher_queue_size=0,  # else pings would wait behind what nobody takes
            tls=access.context,
            user=options.username,
            password=options.password,
            user_jwt_cb=access.tell_token if access.token else None,
            signature_cb=access.sign if access.token else None,
        )

    async def _note_error(self, error: Exception) -> None:
        text = describe(error)
        if _NOT_PERMITTED in text.lower():
            self.refused = text
        if not self.is_connected:
            if not isinstance(error, _CUT_OFF) or self._kind == "lost":  # else it follows from what was said before
                self.error = error
                self._note(text, type(error).__name__)
        elif not isinstance(error, StaleConnectionError) and self._complaints.is_due(type(error).__name__, None):
            logger.warning("%s: %s", self.name, text)

    def _note(self, problem: str | None, kind: str = "lost") -> None:
        self._kind = kind
        was_connected, now = self.is_connected, time.monotonic()
        self.problem = Told(UNREACHABLE, f"{self.name}: {problem}") if problem is not None else None
        turned = was_connected != self.is_connected
        if turned and was_connected and now > self._since + _STEADY_SECONDS:
            self._complaints = Complaints()
        if problem is not None:
            if self._complaints.is_due(kind, None):
                logger.warning("%s: %s; it is tried for ever", self.name, problem)
        elif turned and self._complaints.is_due("came", None):
            logger.info("%s is connected", self.name)
        self._turned.set()
        if turned:
            self._since = now
            (self._connected.set if self.is_connected else self._connected.clear)()
            for listener in tuple(self._listeners.values()):
                listener()


@contextlib.asynccontextmanager
async def open_nats(options: NatsOptions) -> AsyncIterator[Nats]:
    """A connection that is made in the background: whoever needs it waits for it, or asks what its `problem` is."""
    nats = Nats(options)
    async with open_task("connection to NATS", nats.run):
        yield nats


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """What the client raises, as StateUnavailable that names what was tried. For one request at a time."""
    task = asyncio.current_task()
    cancelling = task.cancelling() if task is not None else 0
    try:
        yield
    except (Error, OSError) as error:
        raise StateUnavailable(Told(UNREACHABLE, f"{what}: {describe(error)}")) from error
    # Until Python 3.12 `asyncio.wait_for`, by which the client waits, loses a cancellation that comes with the answer.
    if task is not None and task.cancelling() > cancelling:
        raise asyncio.CancelledError


def describe(error: Exception) -> str:
    """What the client, TLS or the system says, in words that say what to mend."""
    text = detail_of(error).removeprefix("nats: ").strip("'")
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed, does it want a client certificate? {error.reason or error}"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if "authorization violation" in text.lower():
        return "it refuses the user, the password or the credentials file"
    return text or type(error).__name__
