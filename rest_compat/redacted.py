"""A member's answer without secrets, for callers who may not read Secrets: lists, objects, tables, watches, writes.

Such a call is asked for as JSON without compression, whatever the caller would take. Kinds of Secrets are refused to
such callers by the policy; what is left are kinds that hold one inside.
"""

from collections.abc import AsyncIterator

import msgspec
import orjson

from auth.policy import may_read_secrets
from auth.principal import Principal
from fleet.aio.bounded import read_bounded
from fleet.model.errors import ClusterAnswerInvalid
from fleet.model.redaction import EnvValues, may_hold, redact
from fleet.model.request_info import RequestInfo
from fleet.model.unreadable import UNREADABLE
from fleet.ports import Headers, StreamedAnswer
from rest_compat.headers import find_header

MAX_REDACTED = 64 << 20
"""Bytes of an answer, or of a watch's line, that is read as a whole."""

_BUILT_IN = frozenset({"", "apps", "autoscaling", "batch", "extensions", "policy"})
_WITH_ENVIRONMENT = frozenset({"pods", "podtemplates", "replicationcontrollers", "controllerrevisions"}) | frozenset(
    {"daemonsets", "deployments", "replicasets", "statefulsets", "cronjobs", "jobs"}
)


def must_redact(principal: Principal, cluster: str, info: RequestInfo, env: EnvValues) -> bool:
    """Whether the answer can hold what this caller is not shown."""
    if not info.is_resource or info.subresource in ("log", "proxy"):
        return False
    built_in = info.api_group in _BUILT_IN or info.api_group.endswith(".k8s.io")
    platforms = info.api_group == "openmcp.k8s.io"
    holds = info.resource == "configmaps" if built_in and not platforms else True
    holds = holds or (env is not EnvValues.SHOWN and info.resource in _WITH_ENVIRONMENT)
    return holds and not may_read_secrets(principal, cluster, info)


def ask_as_json(headers: Headers) -> Headers:
    """The headers of a call whose answer is to be read here."""
    accepted = (find_header(headers, b"accept") or "").split(",")
    json = [kind.strip() for kind in accepted if kind.strip().startswith("application/json")]
    kept = [pair for pair in headers if pair[0] not in (b"accept", b"accept-encoding")]
    return [*kept, (b"accept", ",".join(json or ["application/json"]).encode("latin-1"))]


class RedactedAnswer:
    """The `StreamedAnswer` of a member, read as a whole, or line by line where it is a watch."""

    def __init__(self, answer: StreamedAnswer, cluster: str, env: EnvValues, *, watches: bool) -> None:
        self.status = answer.status
        self.headers: Headers = [pair for pair in answer.headers if pair[0] != b"content-length"]
        self._answer = answer
        self._cluster = cluster
        self._env = env
        self._watches = watches
        self._line = b""
        self._ended = False
        if not (find_header(answer.headers, b"content-type") or "").startswith("application/json"):
            raise self._invalid("it is not JSON")

    @property
    def is_whole(self) -> bool:
        return self._ended

    async def read(self) -> bytes:
        """The body's next bytes, whole lines of a watch; empty at its end. Raises ClusterError."""
        if self._ended:
            return b""
        if not self._watches:
            self._ended = True
            chunks = self._answer.chunks()
            return self._redact(await read_bounded(chunks, MAX_REDACTED, lambda: self._invalid("it is too large")))
        while chunk := await self._answer.read():
            whole, newline, self._line = (self._line + chunk).rpartition(b"\n")
            if len(self._line) > MAX_REDACTED:
                raise self._invalid("a line of it is too large")
            if newline:
                return b"".join(self._redact(line) + b"\n" for line in whole.split(b"\n"))
        self._ended = True
        return self._redact(self._line) if self._line.strip() else b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises as `read`."""
        while chunk := await self.read():
            yield chunk

    def _redact(self, text: bytes) -> bytes:
        if not may_hold(text, self._env):
            return text
        try:
            return orjson.dumps(redact(msgspec.json.decode(text, type=dict[str, object]), self._env))
        except (*UNREADABLE, TypeError) as error:
            raise self._invalid("it can't be read as JSON") from error

    def _invalid(self, why: str) -> ClusterAnswerInvalid:
        said = f"cluster {self._cluster}: its answer is not shown to who may not read Secrets, since {why}"
        return ClusterAnswerInvalid(self._cluster, said)
