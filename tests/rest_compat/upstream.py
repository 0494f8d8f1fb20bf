"""A small API server on loopback that remembers what it was asked, in raw bytes, and answers what a test wants."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

Answerer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# No library would indent or order a body like this: whoever re-encodes it is found out.
LIST_BODY = b'{ "kind":"PodList",\n"items" : [ {"metadata":{"name":"w\\u00e9b"}} ] ,"apiVersion":"v1"}\n'
NOT_FOUND = b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \\"web\\" not found",'
NOT_FOUND += b'"reason":"NotFound","details":{"name":"web","kind":"pods"},"code":404}\n'


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Upstream:
    """`answers` by path; everything else is answered LIST_BODY. `begun` and `ended` count requests being served."""

    seen: list[Seen] = field(default_factory=list)
    answers: dict[str, Answerer] = field(default_factory=dict)
    begun: int = 0
    ended: int = 0

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.begun += 1
        try:
            answerer = self.answers.get(request.path, self._answer)
            return await answerer(request)
        finally:
            self.ended += 1

    async def record(self, request: web.BaseRequest) -> Seen:
        seen = Seen(request.method, request.path_qs, tuple(request.headers.items()), await request.read())
        self.seen.append(seen)
        return seen

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.record(request)
        headers = {"Content-Type": "application/json", "Audit-Id": "a1", "Keep-Alive": "timeout=5", "Set-Cookie": "a=b"}
        headers |= {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}
        return web.Response(body=LIST_BODY, status=201 if request.method == "POST" else 200, headers=headers)


def answering(status: int, body: bytes, content_type: str = "application/json", **headers: str) -> Answerer:
    """Answers this, whatever is asked."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(body=body, status=status, headers={"Content-Type": content_type, **headers})

    return answer


def hanging() -> Answerer:
    """Never answers."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return answer


def streaming(pieces: "asyncio.Queue[bytes | None]", **headers: str) -> Answerer:
    """Sends each piece when the test puts it into the queue; None ends the answer."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", **headers})
        await response.prepare(request)
        while (piece := await pieces.get()) is not None:
            await response.write(piece)
        await response.write_eof()
        return response

    return answer
