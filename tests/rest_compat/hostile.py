"""Both ends as bytes: a caller that sends what no library would, and a member that answers what no server should."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from auth.authenticator import Authenticator
from fleet.kubernetes.auth.authorizers import bearer
from fleet.kubernetes.connection import HttpConnection, Target
from server.asgi.bounds import BoundedProtocol
from tests.fakes.waiting import PATIENCE
from tests.fleet.kubernetes.servers import open_raw_server
from tests.rest_compat.serving import Clusters, Points, open_served

MEMBER_TOKEN = "the-member-token"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class RawMember:
    """Records each request as it arrived, head and body, and answers `answer` byte for byte, then ends."""

    answer: bytes = OK
    seen: list[bytes] = field(default_factory=list)
    cut: list[bytes] = field(default_factory=list)
    """Requests whose connection ended before their body did."""
    stays: bool = False
    """Whether it keeps the connection open after its answer."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        try:
            self.seen.append(head + await self._read_body(head, reader))
        except asyncio.IncompleteReadError as error:
            self.cut.append(head + error.partial)
            return
        writer.write(self.answer)
        await writer.drain()
        if self.stays:
            await reader.read()

    async def _read_body(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        fields = [line.lower().partition(b":") for line in head.split(b"\r\n")[1:]]
        named = {name: value.strip() for name, _, value in fields}
        if b"transfer-encoding" in named:
            return await reader.readuntil(b"0\r\n\r\n")
        return await reader.readexactly(int(named.get(b"content-length", b"0")))

    @property
    def targets(self) -> list[bytes]:
        return [request.split(b" ", 2)[1] for request in self.seen]


@dataclass(frozen=True)
class Raw:
    """The served routes on a socket, and the member behind them."""

    port: int
    token: str
    member: RawMember

    async def send(self, sent: bytes, *, seconds: float = PATIENCE) -> bytes:
        """All bytes that come back until the server ends the connection or falls silent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            await writer.drain()
            async with asyncio.timeout(seconds):
                return await reader.read()
        finally:
            writer.close()

    async def ask(self, target: bytes, *lines: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
        """One request with a token on a connection of its own."""
        host = () if any(line.lower().startswith(b"host") for line in lines) else (b"Host: here",)
        head = (method + b" " + target + b" HTTP/1.1", *host, b"Connection: close", self.authorization, *lines)
        return await self.send(b"\r\n".join(head) + b"\r\n\r\n" + body)

    @property
    def authorization(self) -> bytes:
        return b"Authorization: Bearer " + self.token.encode()


@asynccontextmanager
async def open_raw(authenticator: Authenticator, request_timeout: float) -> AsyncIterator[Raw]:
    """The routes over the server's own protocol, in front of one raw member that is asked with a bearer token."""
    member = RawMember()
    async with open_raw_server(member.serve) as endpoint:
        connection = HttpConnection("cluster1", Target(endpoint, authorizer=bearer(MEMBER_TOKEN)))
        state = {
            "federation": Clusters({"cluster1": connection}),
            "metric_store": Points(),
            "authenticator": authenticator,
            "request_timeout": request_timeout,
        }
        try:
            async with open_served(state, http=BoundedProtocol) as url:
                yield Raw(int(url.rpartition(":")[2]), await authenticator.login("openmcp", "keti"), member)
        finally:
            await connection.close()


def status_of(answer: bytes) -> int:
    """The status of the first answer; 0 for silence."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
