"""Sends spans to a collector, from a thread of its own: whoever has one to send never waits.

Source: OpenTelemetry protocol, "OTLP/HTTP" (what is worth another try), "Exporter: batching".
"""

import logging
import ssl
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from msgspec import Struct
from urllib3.exceptions import HTTPError

from fleet.aio.backoff import Backoff
from fleet.aio.complaints import Complaints
from fleet.aio.tracing import Span
from server.tracing.otlp import encode_request, encode_span

MOST_WAITING = 8_192
"""Spans that wait; more are dropped, and counted. They are some 1,000 bytes each."""

_A_BATCH = 512
_EVERY_SECONDS = 1.0
_TIMEOUT = 10.0
_AGAIN = frozenset({429, 502, 503, 504})

_log = logging.getLogger(__name__)


class Receiver(Struct, frozen=True):
    """Where spans go: `url` with the path. A certificate is shown where there is one."""

    url: str
    headers: Mapping[str, str] = {}
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def place(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def open_pool(self) -> urllib3.PoolManager:
        """Raises OSError for a file that can't be read."""
        context = None
        if self.url.lower().startswith("https"):
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        return urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, ssl_context=context)


class Exporter:
    """`sent`, `refused` and `dropped` count spans: what the collector took or refused, and what did not fit."""

    def __init__(self, receiver: Receiver, resource: bytes, version: str) -> None:
        self.sent = self.refused = self.dropped = 0
        self._receiver = receiver
        self._pool = receiver.open_pool()
        self._headers = {**receiver.headers, "Content-Type": "application/x-protobuf"}
        self._resource = resource
        self._version = version
        self._complaints = Complaints()
        self._waiting: deque[Span] = deque()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="sends spans")
        self._thread.start()

    def put(self, span: Span) -> None:
        """Takes a span that has ended; one too many is dropped."""
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(span)
        if len(self._waiting) == _A_BATCH:
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Sends what waits, for so long at most. What is then left is dropped."""
        self._ending.set()
        self._wake.set()
        self._thread.join(seconds)
        self._pool.clear()

    def _run(self) -> None:
        backoff = Backoff(first=1.0, last=30.0)
        while self._waiting or not self._ending.is_set():
            if len(self._waiting) < _A_BATCH:
                self._wake.wait(_EVERY_SECONDS)
            self._wake.clear()
            batch = [self._waiting.popleft() for _ in range(min(_A_BATCH, len(self._waiting)))]
            # All at once, in this thread: what is warm takes half as long.
            body = encode_request(self._resource, "openmcp-apiserver", self._version, map(encode_span, batch))
            while batch and not self._send(body, len(batch)):
                if self._ending.wait(backoff.next_delay()):
                    return
            backoff.reset()

    def _send(self, body: bytes, spans: int) -> bool:
        """Whether they are done with, one way or the other."""
        try:
            answer = self._pool.request(
                "POST",
                self._receiver.url,
                body=body,
                headers=self._headers,
                timeout=_TIMEOUT,
                redirect=False,
                preload_content=False,
            )
            # What it says beside the status is not read: it may be endless.
            if answer.headers.get("Content-Length") == "0":
                answer.release_conn()
            else:
                answer.close()
        except (HTTPError, OSError) as error:
            self._complain(f"no answer ({type(error).__name__})")
            return False
        if answer.status == 200:
            self.sent += spans
            if self._complaints.settle(self._receiver.place):
                _log.info("spans are taken again by %s", self._receiver.place)
            return True
        self._complain(f"HTTP {answer.status}")
        if answer.status in _AGAIN:
            return False
        self.refused += spans
        return True

    def _complain(self, why: str) -> None:
        if self._complaints.is_due(self._receiver.place, why):
            words = (
                "spans are not taken by %s: %s; OPENMCP_OTLP_ENDPOINT must be a collector's OTLP over HTTP, port 4318"
            )
            _log.warning(words, self._receiver.place, why)
