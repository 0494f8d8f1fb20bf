"""One cluster's API server: HTTP in, objects of its store out.

aiohttp's low-level server: one handler sees every request, as the real server's own path rules want it.
"""

import asyncio
import gzip
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from msgspec import Struct

from demo.simulator.discovery import HEALTH_PATHS, build_discovery, build_root_paths
from demo.simulator.faults import Faults
from demo.simulator.kinds import PODS, Kind
from demo.simulator.kubelets import build_summary, parse_summary_path
from demo.simulator.logs import plan_log, write_log
from demo.simulator.paths import Target, parse_target
from demo.simulator.reading import get_object, list_objects
from demo.simulator.selection import Selection, parse_selection
from demo.simulator.status import (
    ApiError,
    build_failure,
    build_forbidden,
    build_forbidden_path,
    build_method_not_allowed,
    build_no_such_resource,
    build_unauthorized,
)
from demo.simulator.store import Store
from demo.simulator.watching import WatchPlan, parse_watch, watch_objects
from demo.simulator.writing import (
    create_object,
    delete_collection,
    delete_object,
    is_dry_run,
    parse_body,
    patch_object,
    replace_object,
)

LOOPBACK = "127.0.0.1"
BOOKMARK_SECONDS = 60.0
_PUBLIC_PATHS = (*HEALTH_PATHS, "/version")
_COMPRESSED_FROM = 128 * 1024
_PRETTY_AGENTS = ("curl", "Wget", "Mozilla")
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Certificate(Struct, frozen=True):
    """What makes the servers speak HTTPS: a chain for 127.0.0.1 and its key in PEM, and the authority to trust."""

    chain_file: Path
    key_file: Path
    authority_pem: bytes


class ApiServer:
    """Answers for one store. `token` is the bearer token it knows; giving it another one is a rotation."""

    def __init__(
        self,
        store: Store,
        kinds: Sequence[Kind],
        token: str,
        bookmark_seconds: float,
        certificate: Certificate | None = None,
    ) -> None:
        self.store = store
        self.token = token
        self.port = 0
        self.lists = 0
        """Lists that were asked for, each counted once, however many pages it has."""
        self.faults = Faults(self._listen, self._unlisten)
        self.faults.on_expire(self._expire)
        self._kinds = kinds
        self._bookmark_seconds = bookmark_seconds
        self._tls = _build_tls(certificate) if certificate else None
        # A handler must end when its client is gone: a watch may have nothing to write for a long time.
        self._http = web.Server(self._answer, access_log=None, handler_cancellation=True)
        self._listening: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ApiServer"]:
        """Listens on a free port until the block ends."""
        await self._listen()
        try:
            yield self
        finally:
            self.faults.resume()
            await self._unlisten()
            await self._http.shutdown(0)

    async def _listen(self) -> None:
        if self._listening is None:
            loop = asyncio.get_running_loop()
            self._listening = await loop.create_server(self._http, LOOPBACK, self.port, backlog=512, ssl=self._tls)
            self.port = self._listening.sockets[0].getsockname()[1]

    async def _unlisten(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for connection in list(self._http.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def _expire(self) -> None:
        self.store.compact()
        self.store.wake()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.faults.gate()
        if self.faults.wrong_content is not None:
            return web.Response(body=self.faults.wrong_content, content_type="text/html")
        try:
            if self.faults.failure is not None:
                raise build_failure(self.faults.failure)
            return await self._route(request)
        except ApiError as error:
            return _respond(request, orjson.dumps(error.as_status()), error.code)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        target = parse_target(self._kinds, path)
        self._authenticate(request, path, target)
        if target is not None:
            return await self._answer_resource(request, target)
        if (node := parse_summary_path(path)) is not None:
            return _respond(request, build_summary(self.store, node, time.time_ns()))
        if path in HEALTH_PATHS:
            return web.Response(text="ok", headers=_headers())
        members = build_root_paths(self._kinds) if path == "/" else None
        members = members or build_discovery(self._kinds, path, f"{LOOPBACK}:{self.port}")
        if members is not None:
            return _respond(request, orjson.dumps(members))
        if any(path.startswith(kind.root + "/") for kind in self._kinds):
            raise build_no_such_resource()
        return web.Response(status=404, text="404 page not found\n", headers=_headers())

    def _authenticate(self, request: web.BaseRequest, path: str, target: Target | None) -> None:
        """A wrong token is 401; without one the caller is system:anonymous, who may see little."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            if token.strip() != self.token:
                raise build_unauthorized()
            return
        if path in _PUBLIC_PATHS:
            return
        verb = _VERBS.get(request.method, request.method.lower())
        if target is None:
            raise build_forbidden_path(verb, path)
        verb = "list" if verb == "get" and not target.name else verb
        raise build_forbidden(target.kind, verb, target.namespace or "", target.name)

    async def _answer_resource(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        if target.subresource == "log" and target.kind is PODS and request.method == "GET":
            return await self._stream_log(request, target)
        if target.subresource not in ("", "status"):
            raise build_no_such_resource()
        if request.method in ("GET", "HEAD"):
            return await self._answer_read(request, target)
        body, code = await self._write(request, target)
        return _respond(request, body, code)

    async def _answer_read(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        if target.name:
            return _respond(request, get_object(self.store, target.kind, target.place))
        query = request.query
        selection = parse_selection(target.kind, target.namespace, query)
        if query.get("watch") in ("true", "1"):
            return await self._stream(request, target.kind, selection, parse_watch(query))
        self.lists += "continue" not in query
        return _respond(request, list_objects(self.store, target.kind, selection, query))

    async def _write(self, request: web.BaseRequest, target: Target) -> tuple[bytes, int]:
        """Body and status of a write."""
        store, kind, query = self.store, target.kind, request.query
        content_type = request.headers.get("Content-Type", "")
        dry_run = is_dry_run(query)
        sent = await self._read_body(request, content_type) if request.method in ("POST", "PUT", "PATCH") else None
        match request.method, bool(target.name):
            case "POST", False:
                return create_object(store, kind, _required_namespace(target), sent, dry_run=dry_run), 201
            case "PUT", True:
                return replace_object(store, kind, target.place, sent, dry_run=dry_run), 200
            case "PATCH", True:
                return patch_object(store, kind, target.place, sent, content_type, dry_run=dry_run), 200
            case "DELETE", True:
                return delete_object(store, kind, target.place, dry_run=dry_run), 200
            case "DELETE", False:
                selection = parse_selection(kind, target.namespace, query)
                return delete_collection(store, kind, selection, dry_run=dry_run), 200
            case _:
                raise build_method_not_allowed()

    async def _read_body(self, request: web.BaseRequest, content_type: str) -> Any:
        return parse_body(await request.read(), content_type)

    async def _stream_log(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        plan = plan_log(self.store, target.place, request.query, time.time())
        if plan is None:
            return web.Response(text="", headers=_headers())
        pieces = write_log(self.store, target.place, plan, self.faults.gate)
        return await self._send_pieces(request, "text/plain", pieces)

    async def _stream(
        self, request: web.BaseRequest, kind: Kind, selection: Selection, plan: WatchPlan
    ) -> web.StreamResponse:
        async def lines() -> AsyncIterator[bytes]:
            async for line in watch_objects(self.store, kind, selection, plan, self._bookmark_seconds):
                await self.faults.watch_gate()
                yield line

        return await self._send_pieces(request, "application/json", lines())

    async def _send_pieces(
        self, request: web.BaseRequest, content_type: str, pieces: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=_headers() | {"Content-Type": content_type})
        response.enable_chunked_encoding()
        transport = request.transport

        def cut() -> None:
            if transport is not None:
                transport.abort()

        self.faults.add_watch(cut)
        try:
            with suppress(ConnectionError):  # the client left, or a fault cut it off: the watch is over
                await response.prepare(request)
                async for piece in pieces:
                    await response.write(piece)
                await response.write_eof()
        finally:
            self.faults.remove_watch(cut)
        return response


def _build_tls(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain_file, certificate.key_file)
    return context


def _required_namespace(target: Target) -> str:
    if target.kind.namespaced and not target.namespace:
        raise build_method_not_allowed()
    return target.namespace or ""


def _headers() -> dict[str, str]:
    return {"Audit-Id": str(uuid.uuid4()), "Cache-Control": "no-cache, private"}


def _respond(request: web.BaseRequest, body: bytes, code: int = 200) -> web.Response:
    """A JSON answer: indented for people's agents and compressed when large, as the real server does."""
    if _wants_pretty(request.query, request.headers.get("User-Agent", "")):
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    else:
        body += b"\n"
    headers = _headers() | {"Content-Type": "application/json"}
    if len(body) > _COMPRESSED_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = gzip.compress(body, compresslevel=1)
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return web.Response(body=body, status=code, headers=headers)


def _wants_pretty(query: Mapping[str, str], agent: str) -> bool:
    if "pretty" in query:
        return query["pretty"] not in ("false", "0")
    return agent.startswith(_PRETTY_AGENTS)
