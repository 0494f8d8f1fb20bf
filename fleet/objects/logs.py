"""A container's log, line by line, as its member's API server hands it out.

Source: Kubernetes API, `GET /api/v1/namespaces/{namespace}/pods/{name}/log`.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from fleet.federation import Federation
from fleet.kubernetes.codec.pods import pod_details
from fleet.kubernetes.codec.wire import read_refusal
from fleet.model.errors import ClusterAnswerInvalid, ClusterForbidden, InvalidQuery, NotFound
from fleet.model.kinds import PODS
from fleet.model.objects import Pod, PodKey
from fleet.model.request_info import parse_request
from fleet.model.told import foreign, tell
from fleet.model.visibility import Scope
from fleet.objects.calls import Authorize
from fleet.ports import Call, StreamedAnswer

MAX_LINE_BYTES = 16 * 1024
MAX_TAIL_LINES = 10_000
_MAX_STAMP = 64


class LogRequest(Struct, frozen=True):
    """Which log, from how many lines before its end (0: from its end), and whether to stay for what comes."""

    pod: PodKey
    container: str | None = None
    tail_lines: int = 100
    follow: bool = True


class Line(Struct, frozen=True, gc=False):
    """One line. `time` is in Unix seconds, None where the member gave none."""

    time: float | None
    container: str
    text: str


def check_log(federation: Federation, scope: Scope, authorize: Authorize, wanted: LogRequest) -> LogRequest:
    """The request with its container named.

    Raises InvalidQuery, ClusterNotFound, Forbidden, ClusterUnreachable, and NotFound for a pod that is not there.
    """
    if not 0 <= wanted.tail_lines <= MAX_TAIL_LINES:
        raise InvalidQuery(f"`tailLines` is 0 at least and {MAX_TAIL_LINES:,} at most, not {wanted.tail_lines}")
    key = wanted.pod
    for name, value in (("namespace", key.namespace), ("pod", key.name), ("container", wanted.container or "c")):
        if not value or value in (".", "..") or not value.isprintable() or any(sign in value for sign in "/\\%?#"):
            raise InvalidQuery(f"{value[:100]!r} can't be the name of a {name}")
    federation.check_reach(PODS, scope, key)
    path, query = _target(wanted)
    authorize(key.cluster, parse_request("GET", path, query))
    federation.get_connection(scope, key.cluster)
    pod = federation.get_cached(PODS, scope, key)
    if pod is None:
        raise NotFound(f"{key.cluster} has no pod {key.name!r} in the namespace {key.namespace!r}")
    return msgspec.structs.replace(wanted, container=_pick_container(pod, wanted.container))


async def follow_log(federation: Federation, scope: Scope, wanted: LogRequest) -> AsyncGenerator[Line, None]:
    """The lines of a checked request, until the container ends. Closing the iterator ends the call to the member.

    A line longer than `MAX_LINE_BYTES` is cut and says so. Whoever takes no line stops the member from sending more.
    Raises ClusterError, NotFound, InvalidQuery.
    """
    path, query = _target(wanted)
    connection = federation.get_connection(scope, wanted.pod.cluster)
    timeout = federation.member_timeout
    async with connection.open_stream(Call("GET", path, query=query, timeout=timeout)) as answer:
        if answer.status != 200:
            raise await _refusal(answer, wanted.pod.cluster)
        async with aclosing(_split_lines(answer.chunks())) as lines:
            async for raw in lines:
                yield _read_line(raw, wanted.container or "")


def _target(wanted: LogRequest) -> tuple[str, str]:
    key = wanted.pod
    query = {"timestamps": "true", "tailLines": str(wanted.tail_lines), "follow": str(wanted.follow).lower()}
    if wanted.container is not None:
        query["container"] = wanted.container
    path = f"/api/v1/namespaces/{quote(key.namespace, safe='')}/pods/{quote(key.name, safe='')}/log"
    return path, urlencode(query)


def _pick_container(pod: Pod, named: str | None) -> str:
    """As kubectl picks: the one that is named, the one an annotation names, the only one. Raises InvalidQuery."""
    details = pod_details(pod)
    names = [container.name for container in details.containers]
    if named is not None:
        if names and named not in names:
            raise InvalidQuery(f"{pod.name} has no container {named[:100]!r}; it has {', '.join(names[:20])}")
        return named
    annotated = dict(details.annotations).get("kubectl.kubernetes.io/default-container")
    if annotated in names:
        return annotated
    plain = [entry.name for entry in details.containers if not (entry.init or entry.ephemeral)] or names
    if len(plain) != 1:
        raise InvalidQuery(f"{pod.name} has {len(plain)} containers: name one as `container`: {', '.join(plain[:20])}")
    return plain[0]


async def _split_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Lines without their ends, each cut at the bound; a last one without an end counts."""
    line, left_out = bytearray(), 0
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            left_out += _extend(line, piece)
            yield _finished(line, left_out)
            line, left_out = bytearray(), 0
        left_out += _extend(line, rest)
    if line:
        yield _finished(line, left_out)


def _extend(line: bytearray, piece: bytes) -> int:
    room = MAX_LINE_BYTES + _MAX_STAMP - len(line)
    line += piece[:room]
    return max(0, len(piece) - room)


def _finished(line: bytearray, left_out: int) -> bytes:
    mark = f" [cut: {left_out} bytes more]".encode() if left_out else b""
    return bytes(line).removesuffix(b"\r") + mark


def _read_line(raw: bytes, container: str) -> Line:
    stamp, space, rest = raw.partition(b" ")
    try:
        moment = datetime.fromisoformat(stamp.decode("ascii")).timestamp() if len(stamp) <= _MAX_STAMP else None
    except ValueError:
        moment = None
    text = rest if moment is not None and space else b"" if moment is not None else raw
    return Line(moment, container, text.decode("utf-8", "replace"))


async def _refusal(answer: StreamedAnswer, cluster: str) -> Exception:
    said = await read_refusal(answer.chunks())
    message = tell("{} answers {} to the log: {}", cluster, answer.status, foreign(said[:300]))
    match answer.status:
        case 400:
            return InvalidQuery(message)
        case 403:
            return ClusterForbidden(cluster, message)
        case 404:
            return NotFound(message)
        case _:
            return ClusterAnswerInvalid(cluster, message)
