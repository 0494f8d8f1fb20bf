"""A connection to a member that leaves HTTP: exec, attach, port-forward and whatever else asks to switch protocols.

After the member's 101 its bytes are the caller's, unread: WebSocket frames with whatever subprotocol and extensions the
two ends agreed on, or SPDY. Source: RFC 9110 section 7.8 (Upgrade).
"""

from dataclasses import dataclass

from fleet.aio.bounded import read_bounded
from fleet.kubernetes.http1.dial import Route, dial
from fleet.kubernetes.http1.framing import AnswerProblem
from fleet.kubernetes.http1.headers import select_response_headers
from fleet.kubernetes.http1.protocol import ClosedEarly, HttpProtocol
from fleet.model.errors import ClusterAnswerInvalid
from fleet.model.told import foreign, tell
from fleet.ports import Headers

MAX_REFUSAL_BYTES = 1024 * 1024
"""Of the body with which a member refuses to switch."""

_STREAM_HIGH_WATER = 64 * 1024


@dataclass(frozen=True)
class HttpUpgrade:
    """The `Upgraded` port. `body` is the whole body of a refusal, and empty after a 101. To be closed by its owner."""

    status: int
    headers: Headers
    body: bytes
    _connection: HttpProtocol

    async def read(self) -> bytes:
        return await self._connection.reader.read(None)

    async def write(self, data: bytes) -> None:
        self._connection.write(data)
        await self._connection.drain()

    def close(self) -> None:
        self._connection.close(gently=True)


async def request_upgrade(cluster: str, route: Route, head: bytes) -> HttpUpgrade:
    """Asks for the switch on a connection of its own. Raises OSError, ClusterAnswerInvalid."""
    connection = await dial(route, lambda _: None)  # it is no pool's
    try:
        return await _request(cluster, connection, head)
    except (AnswerProblem, ClosedEarly) as error:
        connection.close()
        said = foreign(str(error)[:200])
        message = tell("cluster {}: it answered nonsense when asked to switch protocols: {}", cluster, said)
        raise ClusterAnswerInvalid(cluster, message) from error
    except BaseException:
        connection.close()
        raise


async def _request(cluster: str, connection: HttpProtocol, head: bytes) -> HttpUpgrade:
    connection.send(head, may_switch=True)
    await connection.read_head(None)
    raw, status = connection.response.headers, connection.response.status
    headers, body = select_response_headers(raw), b""
    if status == 101:
        # These two are about this switch; they would go with the hop otherwise.
        upgrade = next(value for name, value in raw if name == b"upgrade")
        headers = [(b"connection", b"Upgrade"), (b"upgrade", upgrade), *headers]
        connection.reader.high_water = _STREAM_HIGH_WATER
    else:
        message = f"cluster {cluster}: its refusal to switch protocols has no end"
        chunks = connection.reader.chunks()
        body = await read_bounded(chunks, MAX_REFUSAL_BYTES, lambda: ClusterAnswerInvalid(cluster, message))
    return HttpUpgrade(status, headers, body, connection)
