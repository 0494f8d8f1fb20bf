"""Lists as text for scripts and spreadsheets: `text/csv` and `application/x-ndjson`, all pages of them.

A row is an item, a column what is selected of it, named by the path of response keys (`cluster.name`). Sources: RFC
4180, and https://github.com/ndjson/ndjson-spec. What is wrong from the first page on is refused as everywhere; an error
half-way is told by a last line, and the answer cut off: without its last chunk no client takes it for whole. `first` is
how many rows there are at most, in as many pages as it takes.
"""

import asyncio
import csv
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson
from graphql import GraphQLError
from graphql.error import GraphQLSyntaxError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.types.execution import ExecutionResult

from auth.errors import Unauthenticated
from fleet.aio.tasks import end_tasks
from fleet.model.errors import FleetError
from graph.errors import Code, code_of
from graph.http.listing import Listing, Path, find_listing
from graph.http.protocol import GRAPHQL_TYPE, pick_weights, refusal
from graph.http.sse import wait_for_disconnect
from graph.limits.errors import LimitExceeded
from graph.limits.limits import Limits
from graph.operation import Operation, Refused
from graph.schema import schema
from graph.subscriptions.hub import Hub

CSV_TYPE = "text/csv"
NDJSON_TYPE = "application/x-ndjson"

PAGE_ROWS = (1000, 100, 10, 1)
"""Rows of a page: the most whose cost is allowed."""

_MAX_WARNINGS = 10
_IN_ANSWER = frozenset({"OK", "STALE"})
_STATUSES: Mapping[str, int] = {
    Code.CLUSTER_TIMEOUT: 504,
    Code.CLUSTER_UNAUTHORIZED: 502,
    Code.CLUSTER_UNREACHABLE: 502,
    Code.FORBIDDEN: 403,
    Code.INTERNAL: 500,
    Code.METRICS_UNAVAILABLE: 502,
    Code.NOT_FOUND: 404,
}
"""Of errors before the first row; others are the caller's: 400."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last ones in full width

Ask = Callable[[Operation], Awaitable[ExecutionResult]]
"""Runs an operation for the caller, whose credential is looked at each time. Raises Refused, Unauthenticated, Busy."""

_log = logging.getLogger(__name__)


def pick_row_type(accept: str | None) -> str | None:
    """The media type of rows that a client asks for, rather than something it would take as well."""
    if accept is None or ("csv" not in accept.lower() and "ndjson" not in accept.lower()):
        return None
    weights = pick_weights(accept)
    best = max((CSV_TYPE, NDJSON_TYPE), key=lambda kind: weights.get(kind, 0.0))
    others = (weight for kind, weight in weights.items() if kind not in (CSV_TYPE, NDJSON_TYPE) and "*" not in kind)
    return best if weights.get(best, 0.0) > max(others, default=0.0) else None


async def answer_rows(operation: Operation, kind: str, ask: Ask, limits: Limits, *, hub: Hub, user: str) -> Response:
    """The rows of an operation's list, or what is wrong with the operation. Raises Refused, Unauthenticated, Busy."""
    if not hub.may_export(user):
        return await _refuse_another(hub, user)
    listing = _find(operation, limits)
    if listing is None:
        result = await ask(operation)
        if result.errors:  # what is wrong with it goes first
            return _refuse(result.errors)
        shape = "{ pods { items { name status } } }"
        raise Refused(400, f"{kind} has the rows of one list: ask for one and for nothing beside it, such as {shape}")
    result = ExecutionResult(data=None, errors=None)
    size = 0
    for size in PAGE_ROWS:
        result = await ask(listing.ask(size if listing.most is None else min(size, listing.most), listing.after))
        if not result.errors or not all(_code(error) == Code.COST_EXCEEDED for error in result.errors):
            break
    if result.errors:
        return _refuse(result.errors)
    return Rows(listing, kind, ask, result.data or {}, size=size, hub=hub, user=user)


async def _refuse_another(hub: Hub, user: str) -> Response:
    await hub.grounds.admission.refusals.wait(user)
    most = hub.options.max_exports_a_user
    words = f"{most} lists at most are on their way as rows to one user: wait until one of them has ended"
    return refusal(429, words, Code.COST_EXCEEDED, GRAPHQL_TYPE, headers={"Retry-After": "5"})


class Rows(Response):
    """All pages of a list, each asked for when the one before was taken."""

    def __init__(
        self,
        listing: Listing,
        kind: str,
        ask: Ask,
        page: Mapping[str, Any],
        *,
        size: int,
        hub: Hub,
        user: str,
    ) -> None:
        warnings = [_warn(outcome) for outcome in _outcomes(listing, page) if outcome["state"] != "OK"]
        super().__init__(media_type=f"{kind}; charset=utf-8")
        del self.headers["content-length"]
        for warning in warnings[:_MAX_WARNINGS]:
            self.headers.append("warning", warning)
        self._listing, self._ask, self._page, self._size = listing, ask, page, size
        self._format = _Csv(listing.columns) if kind == CSV_TYPE else _Ndjson(listing.columns)
        self._hub, self._user, self._stall_seconds = hub, user, hub.options.stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until the list ends, an error comes or the client leaves."""
        if scope["method"] == "HEAD":
            await self._start(send)
            await send({"type": "http.response.body", "body": b""})
            return
        if not self._hub.may_export(self._user):  # others were begun while the first page was made
            await (await _refuse_another(self._hub, self._user))(scope, receive, send)
            return
        self._hub.exports[self._user] += 1
        leaving = asyncio.create_task(wait_for_disconnect(receive))
        sending = asyncio.create_task(self._send_all(send), name="rows of a list")
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_tasks(sending, leaving)
            self._hub.exports[self._user] -= 1
        if not sending.cancelled() and (error := sending.exception()) is not None:
            raise error

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

    async def _send_all(self, send: Send) -> None:
        try:
            await self._start(send)
            await self._put(send, self._format.head)
            async for text in self._texts():
                await self._put(send, text)
        except TimeoutError:
            _log.info("a client that took nothing for %g s was cut off", self._stall_seconds)
        except (Refused, Unauthenticated, FleetError) as error:
            await self._fail(send, str(error), error.code if isinstance(error, Refused) else code_of(error))
        except _Broken as error:
            await self._fail(send, str(error), error.code)
        else:
            await self._put(send, b"", more=False)

    async def _texts(self) -> AsyncIterator[bytes]:
        listing, page = self._listing, self._page
        left = listing.most
        answering = {outcome["name"] for outcome in _outcomes(listing, page) if outcome["state"] in _IN_ANSWER}
        while True:
            rows = _find_in(page, listing.path) or []
            yield self._format.write(rows)
            left = None if left is None else left - len(rows)
            info = None if listing.page_info is None else _find_in(page, listing.page_info)
            if not info or not info["hasNextPage"] or left == 0:
                return
            size = self._size if left is None else min(left, self._size)
            result = await self._ask(listing.ask(size, info["endCursor"]))
            if result.errors:
                raise _Broken(result.errors[0].message, _code(result.errors[0]))
            page = result.data or {}
            for outcome in _outcomes(listing, page):
                if outcome["name"] in answering and outcome["state"] not in _IN_ANSWER:
                    raise _Broken(f"half-way {_describe(outcome)}", Code.CLUSTER_UNREACHABLE)

    async def _fail(self, send: Send, message: str, code: str) -> None:
        """Ends without the last chunk, by which the client learns that the answer is not whole."""
        _log.warning("rows of a list were cut off: %s", message)
        try:
            await self._put(send, self._format.write_error(message, code))
        except TimeoutError:
            _log.debug("and nobody took the line that says so")

    async def _put(self, send: Send, text: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(self._stall_seconds):
            await send({"type": "http.response.body", "body": text, "more_body": more})


class _Broken(Exception):
    """The rest of the rows can't be had."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class _Csv:
    """RFC 4180, with a header. What is null is empty, what is a list is JSON.

    A text that a spreadsheet would take for a formula gets a `'` before it, as OWASP has it for CSV.
    """

    def __init__(self, columns: tuple[Path, ...]) -> None:
        self._columns = columns
        self.head = self._write([[".".join(path) for path in columns]])

    def write(self, rows: list[Any]) -> bytes:
        return self._write([[_write_cell(_find_in(row, path)) for path in self._columns] for row in rows])

    def write_error(self, message: str, code: str) -> bytes:
        return self._write([[f"#error {code}: {message}"]])

    @staticmethod
    def _write(rows: list[list[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        return text.getvalue().encode()


class _Ndjson:
    """A JSON object a line, with the columns as its members."""

    head = b""

    def __init__(self, columns: tuple[Path, ...]) -> None:
        self._columns = [(".".join(path), path) for path in columns]

    def write(self, rows: list[Any]) -> bytes:
        lines = ({name: _find_in(row, path) for name, path in self._columns} for row in rows)
        return b"".join(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE) for line in lines)

    def write_error(self, message: str, code: str) -> bytes:
        told = {"errors": [{"message": message, "extensions": {"code": code}}]}
        return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


def _find(operation: Operation, limits: Limits) -> Listing | None:
    try:
        return find_listing(schema._schema, operation, limits)  # noqa: SLF001 - as Strawberry's own extensions reach it
    except (GraphQLSyntaxError, LimitExceeded, RecursionError):
        return None


def _refuse(errors: list[GraphQLError]) -> Response:
    body = orjson.dumps({"errors": [error.formatted for error in errors]}, default=str)
    return Response(body, _STATUSES.get(_code(errors[0]), 400), media_type=GRAPHQL_TYPE)


def _write_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return orjson.dumps(value, default=str).decode().strip('"')  # a time is a text in JSON


def _find_in(value: Any, path: Path) -> Any:
    for key in path:
        if value is None:
            return None
        value = value.get(key)
    return value


def _outcomes(listing: Listing, page: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if listing.outcomes is not None:
        yield from _find_in(page, listing.outcomes) or ()


def _describe(outcome: Mapping[str, Any]) -> str:
    return f"{outcome['name']} is {outcome['state']}: {outcome['message'] or 'no reason given'}"


def _warn(outcome: Mapping[str, Any]) -> str:
    """A cluster that is not in the rows, or not as it is now, as Kubernetes warns (RFC 7234, section 5.5)."""
    text = "".join(sign if " " <= sign <= "~" and sign not in '"\\' else "?" for sign in _describe(outcome))
    return f'299 - "{text[:300]}"'


def _code(error: GraphQLError) -> str:
    return str((error.extensions or {}).get("code", Code.INTERNAL))
