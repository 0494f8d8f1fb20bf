"""An answer of a member's API server that is handed over as it comes."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fleet.aio import tracing
from fleet.aio.recorder import calling
from fleet.aio.tracing import Span
from fleet.kubernetes.errors import FOREIGN
from fleet.kubernetes.http1.exchange import Exchange
from fleet.kubernetes.http1.headers import select_response_headers
from fleet.ports import Call, Headers

if TYPE_CHECKING:
    from fleet.kubernetes.connection import HttpConnection


class HttpStream:
    """The `StreamedAnswer` port over HTTP/1.1, and the `with` around it."""

    __slots__ = ("_call", "_connection", "_exchange", "_span", "headers", "status")

    def __init__(self, connection: "HttpConnection", exchange: Exchange, call: Call) -> None:
        self.status = 0
        self.headers: Headers = []
        self._connection = connection
        self._exchange = exchange
        self._call = call
        self._span: Span | None = None

    async def __aenter__(self) -> Self:
        exchange = self._exchange
        if tracing.tracer is not None:
            self._span = self._connection.spans.begin(self._call)
        try:
            with calling(self._connection.cluster):
                await self._connection.send(exchange, self._call, self._span)
            response = exchange.response
            self.status = response.status
            self.headers = select_response_headers(response.headers)
        except BaseException as error:
            self._end(error)
            if isinstance(error, FOREIGN):
                raise self._connection.translate(error, self._call.timeout) from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Closes the socket under an unfinished answer; that of a finished one goes back to the pool.
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self._exchange.end()
        if self._span is not None:
            self._span.end(error)

    @property
    def is_whole(self) -> bool:
        return self._exchange.reader.is_ended

    async def read(self) -> bytes:
        """The body's next bytes; empty at its end.

        Raises ClusterError when it is cut off, ClusterTimeout when it falls silent.
        """
        try:
            return await self._exchange.reader.read(self._call.idle_timeout)
        except FOREIGN as error:
            raise self._connection.translate(error, self._call.idle_timeout) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises as `read`."""
        while chunk := await self.read():
            yield chunk
