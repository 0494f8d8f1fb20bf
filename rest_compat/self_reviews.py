"""What callers ask about themselves: `kubectl auth can-i`, `auth can-i --list` and `auth whoami`.

A member answers these for this server's own credential. Here they are answered for the caller: what this server would
let them do, of what the member lets the credential do. The member reads the question, in whichever form it came, and
its answer repeats it, but for the namespace of a list of rules.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml
from msgspec import Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.policy import SUBRESOURCES, authorize_request
from auth.principal import Principal
from fleet.federation import Federation
from fleet.model.errors import ClusterAnswerInvalid, FleetError, Forbidden
from fleet.model.request_info import RequestInfo
from fleet.model.told import Told, foreign, told_to
from fleet.model.unreadable import load_yaml
from fleet.model.visibility import Role
from fleet.ports import Call, Connection
from rest_compat.disconnect import Caller, read_body
from rest_compat.errors import ErrorShape, NotReadable, build_status_answer, reshape_for

MAX_REVIEW = 16 * 1024
_KINDS = {
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
}
_PROTOBUF = b"k8s\0"
_UNLISTED = "the subresources status and scale of what may be read are not listed"

Json = dict[str, Any]


def is_self_review(info: RequestInfo) -> bool:
    """Whether a caller asks about themselves, which everybody who reaches the cluster may."""
    return info.verb == "create" and (info.api_group, info.resource) in _KINDS and info.subresource is None


def read_namespace(body: bytes) -> str:
    """The namespace of a SelfSubjectRulesReview in JSON, YAML or Kubernetes' protobuf. Raises NotReadable."""
    try:
        if body.startswith(_PROTOBUF):
            # runtime.Unknown's raw, the review's spec, its namespace. Source: `generated.proto` of each.
            return _find_field(_find_field(_find_field(body[len(_PROTOBUF) :], 2), 2), 1).decode()
        return msgspec.convert(load_yaml(body)["spec"]["namespace"], str)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise NotReadable("the review names no namespace in JSON, YAML or Kubernetes' protobuf") from error


def _find_field(message: bytes, wanted: int) -> bytes:
    """A field of a message whose fields are all texts or messages, and few. Raises LookupError."""
    at = 0
    while at < len(message):
        number, size, shift = message[at] >> 3, 0, 0
        while shift == 0 or message[at] & 0x80:
            at += 1
            size |= (message[at] & 0x7F) << shift
            shift += 7
        at += 1
        if number == wanted:
            return message[at : at + size]
        at += size
    raise LookupError(wanted)


class SelfReview(Response):
    """The answer to one. `call` has no body yet."""

    def __init__(
        self, principal: Principal, federation: Federation, connection: Connection, call: Call, shape: ErrorShape
    ) -> None:
        self.background = None
        self._asker = _Asker(principal, federation, connection, call.timeout)
        self._connection = connection
        self._call = call
        self._shape = shape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(Caller(receive))
        except FleetError as error:
            answer = build_status_answer(scope, self._shape, error)
        await answer(scope, receive, send)

    async def _answer(self, caller: Caller) -> Response:
        call = self._call
        body = await read_body(caller.chunks(), "a review", MAX_REVIEW, call.timeout)
        headers = [pair for pair in call.headers if pair[0] not in (b"accept", b"accept-encoding")]
        headers.append((b"accept", b"application/json"))
        found = await self._connection.request(Call("POST", call.path, call.timeout, call.query, headers, body))
        if found.status >= 400:
            kind = found.headers.get("content-type", "")
            reshaped = reshape_for(self._asker.principal, self._shape, found.status, kind, found.body)
            if reshaped is not None:
                return Response(reshaped, found.status, media_type="application/json")
            return Response(found.body, found.status, media_type=kind or None)
        try:
            review = json.loads(found.body)
            spec = review.get("spec") or {"namespace": read_namespace(body) if "rules" in call.path else ""}
            await self._asker.narrow(spec, review["status"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            cluster = self._connection.cluster
            raise ClusterAnswerInvalid(cluster, f"cluster {cluster} answered a review with none") from error
        return Response(json.dumps(review, separators=(",", ":")), found.status, media_type="application/json")


class _Asker(Struct, frozen=True):
    principal: Principal
    federation: Federation
    connection: Connection
    timeout: float

    @property
    def _is_limited(self) -> bool:
        scopes = [part.scope for part in self.principal.parts if part.scope.role is Role.ADMIN]
        return not any(scope.reaches_all_clusters and scope.reaches_all_namespaces for scope in scopes)

    async def narrow(self, spec: Json, status: Json) -> None:
        """Changes the status of a review of this server's credential to what it is for the caller."""
        for name in ("reason", "evaluationError"):
            if isinstance(said := status.get(name), str):
                status[name] = told_to(self.principal.scope, self._word(said))
        if "userInfo" in status:
            status["userInfo"] = {"username": self.principal.name, "groups": list(self.principal.groups)}
        elif "resourceRules" in status:
            if self._is_limited:
                kinds = await self._list_kinds(spec.get("namespace") or "")
                status["resourceRules"] = [*self._list_rules(kinds, status["resourceRules"] or [])]
                status["nonResourceRules"] = [
                    rule | {"verbs": [verb for verb in ("get", "head") if {verb, "*"} & {*rule["verbs"]}]}
                    for rule in status.get("nonResourceRules") or []
                ]
                status |= {"incomplete": True, "evaluationError": _UNLISTED}
        elif status["allowed"]:
            try:
                authorize_request(self.principal, self.connection.cluster, await self._read_question(spec))
            except Forbidden as error:
                status |= {"allowed": False, "reason": str(error)}

    def _word(self, said: str) -> str:
        """The member's words on why, which name whose rights they are: the caller's, or this server's own."""
        return Told("", said) if self.principal.scope.granted is None else foreign(said, self.principal.name)

    async def _read_question(self, spec: Json) -> RequestInfo:
        """The request that is asked about; of all kinds or verbs, one that takes an administrator."""
        path = spec.get("nonResourceAttributes")
        if path is not None:
            return RequestInfo(path.get("verb", ""))
        of: Json = spec["resourceAttributes"]
        group, resource, name = (of.get(key, "") for key in ("group", "resource", "name"))
        namespace = name if resource == "namespaces" else of.get("namespace", "")
        if namespace and resource != "namespaces" and not self.principal.scope.reaches_all_namespaces:
            served = await self.federation.catalogs.served(self.connection, self.timeout)
            same = [kind for kind in served if kind.group == group and kind.resource == resource]
            namespace = namespace if all(kind.namespaced for kind in same) else ""
        several = "*" in (of.get("verb"), group, resource, of.get("subresource"))
        return RequestInfo(
            verb="*" if several else of.get("verb", ""),
            is_resource=True,
            api_group=group,
            version=of.get("version", ""),
            resource=resource,
            subresource=("*" if several else of.get("subresource")) or None,
            namespace=namespace or None,
            name=name or None,
        )

    async def _list_kinds(self, namespace: str) -> Mapping[tuple[str, str], list[str]]:
        """By group and resource, with its subresource, the verbs that this server lets the caller do in a namespace."""
        asked = {
            (kind.group, kind.resource): (kind.namespaced, kind.verbs)
            for kind in await self.federation.catalogs.served(self.connection, self.timeout)
        }
        asked |= {("", name): (True, frozenset({"get", "create"})) for name in SUBRESOURCES}
        return {
            (group, name): allowed
            for (group, name), (namespaced, verbs) in sorted(asked.items())
            if (
                allowed := [
                    verb for verb in sorted(verbs) if self._may(group, name, verb, namespace if namespaced else "")
                ]
            )
        }

    def _may(self, group: str, name: str, verb: str, namespace: str) -> bool:
        resource, _, subresource = name.partition("/")
        info = RequestInfo(verb, True, group, "", resource, subresource or None, namespace or None)
        try:
            authorize_request(self.principal, self.connection.cluster, info)
        except Forbidden:
            return False
        return True

    def _list_rules(self, kinds: Mapping[tuple[str, str], list[str]], theirs: list[Json]) -> Iterator[Json]:
        """What both allow, a rule for each group and verbs of each rule of the member's."""
        for rule in theirs:
            both: dict[tuple[str, ...], list[str]] = {}
            for (group, name), verbs in kinds.items():
                if {group, "*"} & {*rule["apiGroups"]} and {name, "*"} & {*rule["resources"]}:
                    shared = [verb for verb in verbs if {verb, "*"} & {*rule["verbs"]}]
                    both.setdefault((group, *shared), []).append(name)
            for (group, *shared), names in both.items():
                if shared:
                    yield rule | {"verbs": shared, "apiGroups": [group], "resources": names}
