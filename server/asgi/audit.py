"""Who did what: a line for each write, stream, refused call and sign-in, without bodies, queries or credentials.

What handlers find out stands in the ASGI scope: `principal`, `call` (the cluster and what is asked of its API),
`sign_in` (the user who signs in, where there is such a one), `refused` (a part of the answer was).
"""

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auth.principal import Principal
from fleet.aio.request_context import current_request
from fleet.model.request_info import RequestInfo
from server.audit_log import AuditLog

_READS = frozenset({"get", "list", "watch", "head", "options"})
_REFUSED = frozenset({401, 403, 429})
_CLOSED_AS_REFUSED = frozenset({4400, 4401, 4403, 1013})
_SIGN_INS = frozenset({("GET", "/token"), ("POST", "/token"), ("POST", "/oidc")})
_READ_BY_POST = frozenset({"/graphql", "/graphql/"})
_QUESTIONS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
"""Groups of the API whose objects are answered and never kept."""


class Audit:
    """An application whose calls are written to the log in the lifespan's state, if there is one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        log: AuditLog | None = scope.get("state", {}).get("audit")
        if log is None:
            await self._app(scope, receive, send)
            return
        watched = _Watched(scope, send, log)
        try:
            await self._app(scope, receive, watched.send)
        finally:
            watched.end()


class _Watched:
    """One call, from what is sent of its answer."""

    def __init__(self, scope: Scope, send: Send, log: AuditLog) -> None:
        self._scope = scope
        self._send = send
        self._log = log
        self._begun = time.perf_counter()
        self._status = 0
        self._streams = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            if self._status < 400 and _is_stream(self._scope, message):
                self._begin()
        elif kind == "websocket.send" and not self._streams and "principal" in self._scope:
            self._status = 101
            self._begin()
        elif kind == "websocket.close":
            self._status = 403 if not self._streams and message.get("code") in _CLOSED_AS_REFUSED else self._status
        await self._send(message)

    def end(self) -> None:
        if self._streams:
            self._write("stream", "end")
        elif (kind := _find_kind(self._scope, self._status)) is not None:
            self._write(kind, "complete")

    def _begin(self) -> None:
        self._streams = True
        self._write("stream", "start")

    def _write(self, kind: str, stage: str) -> None:
        took = (time.perf_counter() - self._begun) * 1000
        self._log.write(
            _describe(self._scope, self._status) | {"kind": kind, "stage": stage, "took_ms": round(took, 1)}
        )


def _is_stream(scope: Scope, head: Message) -> bool:
    info: RequestInfo | None = scope["call"][1] if "call" in scope else None
    if head["status"] == 101 or (info is not None and info.verb == "watch"):
        return True
    if info is not None and info.subresource == "log":
        return parse_qs(scope["query_string"].decode("latin-1")).get("follow", ["false"])[0] not in ("false", "0")
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in head["headers"])


def _find_kind(scope: Scope, status: int) -> str | None:
    """Why a call is written down; None where it is not."""
    if (scope.get("method"), scope["path"].rstrip("/")) in _SIGN_INS:
        return "sign-in"
    if status in _REFUSED or scope.get("refused"):
        return "refused"
    if "call" in scope:
        info: RequestInfo = scope["call"][1]
        return "write" if info.verb not in _READS and info.api_group not in _QUESTIONS else None
    reads = scope["type"] != "http" or scope["method"].lower() in _READS or scope["path"] in _READ_BY_POST
    return None if reads else "write"


def read_sent_path(scope: Scope) -> str:
    """For logs: as it was sent, without a query, which servers leave in that of a WebSocket."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return path.decode("ascii", "backslashreplace").partition("?")[0][:500]


def _describe(scope: Scope, status: int) -> dict[str, Any]:
    principal: Principal | None = scope.get("principal")
    cluster, info = scope.get("call", (None, None))
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "id": request.request_id if (request := current_request()) else None,
        "user": principal.name if principal else scope.get("sign_in"),
        "groups": list(principal.groups) if principal else None,
        "credential": principal.credential if principal else None,
        "address": scope["client"][0] if scope.get("client") else None,
        "method": scope.get("method", "WEBSOCKET"),
        "path": read_sent_path(scope),
        "cluster": cluster,
        "status": status,
        "result": _name_result(status, refused=bool(scope.get("refused"))),
    }
    if info is not None and info.is_resource:
        names = ("verb", "api_group", "resource", "subresource", "namespace", "name")
        entry |= {name: getattr(info, name) for name in names}
    return {name: value for name, value in entry.items() if value not in (None, "", [])}


def _name_result(status: int, *, refused: bool) -> str:
    if status in _REFUSED or refused:
        return "refused"
    if not status:
        return "left"  # nobody waited for the answer
    return "failed" if status >= 500 else "error" if status >= 400 else "ok"
