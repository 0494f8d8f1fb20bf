"""How a metric store is asked over HTTP: a pool of connections, in threads of its own, bounded in time and size.

The exceptions of the pool become MetricsUnavailable here. No message holds a query, a credential or the server's words.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import urllib3
from msgspec import Struct
from msgspec.structs import replace
from urllib3.exceptions import (
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from fleet.aio import tracing
from fleet.aio.budget import BudgetSpent, ByteBudget, Share
from fleet.aio.complaints import Complaints
from fleet.aio.recorder import querying_metrics, with_recorder
from fleet.aio.timed import timed
from fleet.aio.tracing import Span
from fleet.metrics.spans import begin_store_span
from fleet.model.errors import MetricsTooCostly, MetricsUnavailable
from fleet.model.told import tell

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CHUNK = 1 << 16
_REFUSAL_BYTES = 1 << 16
_WORDS_DECIDE = 422
_DONE = frozenset({200, 204})
_LASTING = frozenset({401, 403, 404, 502, 503, 504})
"""Statuses that another question would get as well."""


class Asked(Protocol):
    """The server that is asked: `product` is what it is, `server` what it is and where, `place` its origin."""

    @property
    def product(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def timeout(self) -> float: ...
    @property
    def max_answer_bytes(self) -> int: ...


class Call(Struct, frozen=True):
    """One request. `path` is encoded already."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


class HttpAnswer(Struct, frozen=True):
    """The body of a 200, and its headers, whose names are found in any case."""

    body: bytes
    headers: Mapping[str, str]


Refuse = Callable[[int, bytes], MetricsUnavailable]
"""What an answer other than 200 or 204 means: its status, and the beginning of its body."""

Request = Callable[[Call, float], urllib3.BaseHTTPResponse]
"""Sends a call, which may take so many seconds, and gives the answer unread and undecoded; follows no redirect."""


class Pool:
    """Sends calls, which `calls_sent` counts.

    It `complains` in the log of what keeps going wrong, unless whoever asks does.
    """

    def __init__(
        self, options: Asked, request: Request, threads: ThreadPoolExecutor, *, complains: bool = True
    ) -> None:
        self._complains = complains
        self._options = options
        self._request = request
        self._threads = threads
        self._complaints = Complaints()
        self._answers = ByteBudget(options.max_answer_bytes * 3 // 2)
        self.calls_sent = 0

    async def send(self, call: Call, read: Callable[[HttpAnswer], T], refuse: Refuse) -> T:
        """What `read` makes of the answer, in the thread that received it. Raises MetricsUnavailable."""
        deadline = time.monotonic() + self._options.timeout
        self.calls_sent += 1
        span = None if tracing.tracer is None else self._begin_span(call)
        if span is not None:
            call = replace(call, headers={**call.headers, "traceparent": span.traceparent.decode()})
        work = with_recorder(lambda: self._work(call, deadline, read, refuse))
        try:
            with (
                span or tracing.UNTRACED,
                querying_metrics(),
                timed(logger, f"{self._options.product} was asked by {call.method} {call.path.partition('?')[0]}"),
            ):
                async with asyncio.timeout(self._options.timeout):
                    answer = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise self._note(self._slow()) from error
        if self._complaints.settle(self._options.place):
            logger.info("%s at %s answers again", self._options.product, self._options.place)
        return answer

    def _begin_span(self, call: Call) -> Span | None:
        options = self._options
        operation = call.path.partition("?")[0].rpartition("/")[2]
        return begin_store_span(options.product.lower(), operation, place=options.place)

    def _note(self, error: MetricsUnavailable) -> MetricsUnavailable:
        """Tells operators of what is wrong with the server, and not with a question; gives the error back."""
        if self._complains and self._complaints.is_due(self._options.place, str(error)):
            logger.warning("usage and history are missing: %s", error)
        return error

    def _work(self, call: Call, deadline: float, read: Callable[[HttpAnswer], T], refuse: Refuse) -> T:
        with self._answers.share() as share:
            return read(self._send(call, deadline, refuse, share))

    def _send(self, call: Call, deadline: float, refuse: Refuse, share: Share) -> HttpAnswer:
        try:
            try:
                return self._send_once(call, deadline, refuse, share)
            except ProtocolError:
                # A kept connection that the server closed as it was taken: queries only read, and what is written twice
                # is there once, so one more try is safe.
                return self._send_once(call, deadline, refuse, share)
        except (HTTPError, ValueError) as error:
            raise self._note(self._failure(error)) from error

    def _failure(self, error: Exception) -> MetricsUnavailable:
        server = self._options.server
        # In the order of their classes: an unknown host is a refused connection, which is a time-out, to the pool.
        if isinstance(error, NameResolutionError):
            return MetricsUnavailable(tell("the host name of {} is not known", server))
        if isinstance(error, NewConnectionError):
            return MetricsUnavailable(tell("{} does not accept connections", server))
        if isinstance(error, PoolTimeoutError):
            return self._slow()
        if isinstance(error, SSLError):
            return MetricsUnavailable(tell("the TLS certificate of {} is not accepted", server))
        if isinstance(error, ProtocolError):
            return MetricsUnavailable(tell("{} broke off its answer", server))
        return MetricsUnavailable(tell("{} can't be asked ({})", server, type(error).__name__))

    def _send_once(self, call: Call, deadline: float, refuse: Refuse, share: Share) -> HttpAnswer:
        response = self._request(call, max(0.01, deadline - time.monotonic()))
        try:
            body = self._read(response, deadline, refuse, share)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return HttpAnswer(body, response.headers)

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float, refuse: Refuse, share: Share) -> bytes:
        if response.status not in _DONE:
            refusal = refuse(response.status, self._read_refusal(response, deadline))
            raise self._note(refusal) if response.status in _LASTING else refusal
        chunks: list[bytes] = []
        size = 0
        while chunk := response.read1(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._options.max_answer_bytes:
                raise MetricsTooCostly(
                    f"{self._options.product}'s answer is larger than {self._options.max_answer_bytes} bytes: "
                    "ask for fewer objects, or a shorter time"
                )
            try:
                share.take(len(chunk))
            except BudgetSpent:
                raise MetricsUnavailable(
                    f"{self._options.product}'s answers are larger than {self._answers.most} bytes at once: "
                    "ask for fewer objects, or a shorter time"
                ) from None
            if time.monotonic() > deadline:
                raise self._slow()
        return b"".join(chunks)

    @staticmethod
    def _read_refusal(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        """Its beginning; all of it where its words decide, since VictoriaMetrics repeats the question before them."""
        said = b""
        with contextlib.suppress(HTTPError):  # the status says enough
            while len(said) < _REFUSAL_BYTES and (chunk := response.read1(_CHUNK)):
                said += chunk
                if response.status != _WORDS_DECIDE or time.monotonic() > deadline:
                    break
        return said

    def _slow(self) -> MetricsUnavailable:
        return MetricsUnavailable(tell("{} did not answer within {:g} s", self._options.server, self._options.timeout))
