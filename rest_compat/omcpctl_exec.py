"""`omcpctl exec`: a POST whose body is the command's words, joined with commas; its output is the answer.

The client reads the answer as YAML and prints the member `message`. The container's end is spoken to over WebSocket
with `v5.channel.k8s.io` or `v4.channel.k8s.io`: the first byte of a message says which stream it belongs to.
"""

import asyncio
import json
from functools import partial
from urllib.parse import quote

from msgspec import Struct
from starlette.responses import Response
from websockets.exceptions import ConnectionClosed, PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol
from websockets.utils import generate_key

from auth.policy import authorize_request
from auth.principal import Principal
from fleet.aio.request_context import note_call
from fleet.model.errors import ClusterAnswerInvalid, ClusterTimeout, ClusterUnauthorized, InvalidQuery
from fleet.model.request_info import parse_request
from fleet.model.told import foreign, told_to
from fleet.ports import Call, Upgraded
from rest_compat.disconnect import RIGHTS_SECONDS, Caller, DisconnectWatcher, check_repeatedly, read_body
from rest_compat.dispatch import ApiCall, build_rights_check
from rest_compat.errors import reshape_for
from rest_compat.headers import find_header
from rest_compat.open_streams import OpenStreams
from rest_compat.parameters import read_parameter
from rest_compat.request import Request
from rest_compat.upgrades import read_upgrade

MAX_WORDS_BYTES = 64 * 1024
MAX_OUTPUT_BYTES = 1024 * 1024
"""Of output that is answered; what the command says beyond is cut off, and said so."""

_STDOUT, _STDERR, _ERROR = 1, 2, 3
_SUBPROTOCOLS = b"v5.channel.k8s.io, v4.channel.k8s.io"


class _Ended(Struct, frozen=True):
    """What a command said, and how it ended: `failure` is empty for exit code 0."""

    output: bytes
    failure: str


def is_word_exec(request: Request, call: ApiCall) -> bool:
    """Whether this is that client's form, which names the pod a second time in its query."""
    return (
        request.method == "POST"
        and call.path.rstrip("/").endswith("/exec")
        and read_parameter(call.query, "podname") is not None
        and read_upgrade(request) is None
    )


async def answer_exec(request: Request, principal: Principal, call: ApiCall, streams: OpenStreams) -> Response:
    """Runs the command in the pod of the path and answers `{"message": OUTPUT}`.

    Raises InvalidQuery, Forbidden, ClusterNotFound, ClusterError, BodyTooLarge, BodyTooSlow,
    TooManyStreams.
    """
    info = parse_request("POST", call.path, call.query)
    federation = request.state["federation"]
    cluster = federation.resolve_name(principal.scope, call.cluster)
    request.scope["call"] = (cluster, info)
    note_call(cluster, info.summary)
    authorize_request(principal, cluster, info)
    if info.subresource != "exec":
        raise InvalidQuery(f"{call.path[:200]!r} is not the path of a pod's exec")
    connection = federation.get_connection(principal.scope, cluster)
    bound = request.state["request_timeout"]
    words = await _read_words(request, bound)
    headers = [
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", generate_key().encode()),
        (b"sec-websocket-protocol", _SUBPROTOCOLS),
    ]
    query = _build_query(call.query, words)
    switch = Call("GET", call.path.rstrip("/"), bound, query, headers, upgrade="websocket")
    rights = partial(check_repeatedly, build_rights_check(request, principal, cluster, info), RIGHTS_SECONDS)
    watcher = DisconnectWatcher(Caller(request.receive), rights)
    try:
        with streams.hold(principal.name):
            async with asyncio.timeout(bound), connection.open_upgrade(switch) as member:
                if member.status != 101:
                    return _build_refusal(member, call, principal)
                ended = await _collect(member, call.cluster)
                failure = told_to(principal.scope, foreign(ended.failure, principal.name))
                return _build_message(ended.output, failure)
    except TimeoutError as error:
        message = f"the command did not end within {bound:g} s; its process may be running on"
        raise ClusterTimeout(call.cluster, message) from error
    except asyncio.CancelledError:
        if not watcher.was_interrupted():
            raise
        if watcher.error is not None:
            raise watcher.error from None
        return Response()  # there is nobody to answer
    finally:
        watcher.stop()


async def _read_words(request: Request, bound: float) -> list[str]:
    body = await read_body(request.stream(), "the words of a command", MAX_WORDS_BYTES, bound)
    text = body.decode(errors="replace").strip()
    if not text:
        raise InvalidQuery("the body is empty: expected the command's words joined with commas, such as sh,-c,ls")
    return text.split(",")


def _build_query(query: str, words: list[str]) -> str:
    pairs = [("command", word) for word in words] + [("stdout", "true"), ("stderr", "true")]
    if container := read_parameter(query, "containername") or read_parameter(query, "container"):
        pairs.append(("container", container))
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)


async def _collect(member: Upgraded, cluster: str) -> _Ended:
    """Reads until the member closes. Raises ClusterAnswerInvalid where it ends without saying how."""
    socket = Protocol(CLIENT, max_size=MAX_OUTPUT_BYTES)
    output = bytearray()
    cut = False
    verdict: bytes | None = None
    try:
        while data := await member.read():
            socket.receive_data(data)
            for frame in socket.events_received():
                if not isinstance(frame, Frame) or frame.opcode not in (Opcode.BINARY, Opcode.TEXT) or not frame.data:
                    continue
                channel, piece = frame.data[0], bytes(frame.data[1:])
                if channel in (_STDOUT, _STDERR):
                    room = MAX_OUTPUT_BYTES - len(output)
                    output += piece[:room]
                    cut = cut or len(piece) > room
                elif channel == _ERROR:
                    verdict = piece
            # Answers to pings and to the close.
            for reply in socket.data_to_send():
                if reply:
                    await member.write(reply)
    except (OSError, ConnectionClosed, ProtocolError, PayloadTooBig) as error:
        if verdict is None:
            raise ClusterAnswerInvalid(cluster, f"cluster {cluster}: the command's stream broke off") from error
    if verdict is None:
        raise ClusterAnswerInvalid(cluster, f"cluster {cluster}: the command's stream ended without an exit status")
    if cut:
        output += f"\n... cut off after {MAX_OUTPUT_BYTES} bytes\n".encode()
    return _Ended(bytes(output), _read_failure(verdict))


def _read_failure(verdict: bytes) -> str:
    """The message of the Status at the end; empty for success."""
    try:
        status = json.loads(verdict)
    except (ValueError, RecursionError):
        return verdict.decode(errors="replace")[:1000]
    if not isinstance(status, dict) or status.get("status") == "Success":
        return ""
    return str(status.get("message", "the command failed"))[:1000]


def _build_message(output: bytes, failure: str) -> Response:
    said = [output.decode(errors="replace"), failure]
    body = json.dumps({"message": "\n".join(part for part in said if part)}, ensure_ascii=False)
    return Response(body, media_type="application/json")


def _build_refusal(member: Upgraded, call: ApiCall, principal: Principal) -> Response:
    if member.status == 401:
        raise ClusterUnauthorized(call.cluster, f"cluster {call.cluster} refused this server's credential (401)")
    kind = find_header(member.headers, b"content-type") or ""
    reshaped = reshape_for(principal, call.shape, member.status, kind, member.body)
    return Response(member.body if reshaped is None else reshaped, member.status, media_type="application/json")
