"""What a member lets a subject do, in the member's own words: the reviews that it answers about whoever asks.

Source: https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/. Rules are exact where all of a
member's authorizers can list theirs. Where one can't (a webhook), the review is `incomplete`, and says neither what
that one allows nor what it denies: then each kind and verb that this server shows is asked about.
"""

import asyncio
import sys
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from fleet.kubernetes.errors import ApiRefused
from fleet.kubernetes.impersonation import ImpersonatedConnection
from fleet.model.errors import ClusterAnswerInvalid, ClusterForbidden
from fleet.model.request_info import RequestInfo
from fleet.model.rights import ClusterRights, Rule, Rules, Subject
from fleet.model.unreadable import UNREADABLE
from fleet.model.workloads import WORKLOAD_RESOURCES
from fleet.ports import Connection

AT_ONCE = 8
"""Questions that a member is asked at once about one subject."""

_NOWHERE = "no.such.namespace"
"""No namespace is named with dots: rules that hold in it hold everywhere."""

_VERBS = ("get", "list", "watch")
_IN_NAMESPACES = [
    *((verb, kind) for kind in ("pods", "events", "namespaces", *WORKLOAD_RESOURCES) for verb in _VERBS),
    ("get", "pods/log"),
]
_SHOWN = [*_IN_NAMESPACES, *((verb, "nodes") for verb in _VERBS)]


class _WireRule(Struct, rename="camel"):
    verbs: list[str]
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None


class _RulesStatus(Struct, rename="camel"):
    resource_rules: list[_WireRule] | None
    incomplete: bool = False


class _RulesReview(Struct):
    status: _RulesStatus


class _AccessStatus(Struct):
    allowed: bool


class _AccessReview(Struct):
    status: _AccessStatus


_decode_rules = msgspec.json.Decoder(_RulesReview).decode
_decode_access = msgspec.json.Decoder(_AccessReview).decode


async def load_rights(
    connection: Connection, subject: Subject, namespaces: Collection[str], timeout: float
) -> ClusterRights:
    """What the subject may do in all of a cluster and in each of these namespaces. Raises ClusterError."""
    reviews = await _open_reviews(connection, subject, timeout)
    everywhere = await reviews.load_rules(None)
    if all(everywhere.allows(*question) for question in _IN_NAMESPACES):
        return ClusterRights(everywhere)
    found: dict[str, Rules] = {}
    known: dict[Rules, Rules] = {everywhere: everywhere}
    left = iter(namespaces)

    async def ask() -> None:
        for namespace in left:
            rules = await reviews.load_rules(namespace)
            found[namespace] = known.setdefault(rules, rules)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(namespaces))):
                group.create_task(ask())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return ClusterRights(everywhere, {name: rules for name, rules in found.items() if rules is not everywhere})


async def may(connection: Connection, subject: Subject, info: RequestInfo, timeout: float) -> bool:
    """Whether the member would carry out a request about resources of the subject's. Raises ClusterError."""
    return await (await _open_reviews(connection, subject, timeout)).may(
        {
            "verb": info.verb,
            "group": info.api_group,
            "version": info.version,
            "resource": info.resource,
            "subresource": info.subresource or "",
            "namespace": info.namespace or "",
            "name": info.name or "",
        }
    )


class Need(Struct, frozen=True, order=True):
    """A verb on a resource (`pods`, `pods/log`), everywhere or in a namespace, of any object or of one by its name."""

    group: str
    resource: str
    verb: str
    namespace: str | None = None
    name: str = ""


async def find_lacking(connection: Connection, needs: Collection[Need], timeout: float) -> list[Need]:
    """Which of these a cluster does not let this server's own credential do, sorted. Raises ClusterError."""
    reviews = await _open_reviews(connection, None, timeout)
    namespaces = list({need.namespace for need in needs})
    rules = dict(zip(namespaces, await asyncio.gather(*map(reviews.load_rules, namespaces)), strict=True))
    # What the rules do not tell may still be allowed, by an authorizer that can't list its own.
    doubted = sorted(
        need
        for need in needs
        if not rules[need.namespace].allows(need.verb, f"{need.resource}.{need.group}".rstrip("."), need.name)
    )
    allowed = await asyncio.gather(*(reviews.may(_build_attributes(need)) for need in doubted))
    return [need for need, is_allowed in zip(doubted, allowed, strict=True) if not is_allowed]


def _build_attributes(need: Need) -> dict[str, str]:
    resource, _, subresource = need.resource.partition("/")
    asked = {"verb": need.verb, "group": need.group, "resource": resource, "subresource": subresource}
    return asked | {"namespace": need.namespace or "", "name": need.name}


async def _open_reviews(connection: Connection, subject: Subject | None, timeout: float) -> "_Reviews":
    """Of a subject, or for None of this server's own credential."""
    asked = connection if subject is None else ImpersonatedConnection(connection, subject)
    if "kubernetes_asyncio.client" in sys.modules:
        return _Reviews(asked, timeout)
    # The first call imports 859 modules, so it comes in a thread: the event loop does not stand still meanwhile.
    return await asyncio.to_thread(_Reviews, asked, timeout)


class _Reviews:
    def __init__(self, connection: Connection, timeout: float) -> None:
        from kubernetes_asyncio.client import AuthorizationV1Api

        from fleet.kubernetes.typed_api import TypedClient

        self._cluster = connection.cluster
        self._is_own = not isinstance(connection, ImpersonatedConnection)
        self._turns = asyncio.Semaphore(AT_ONCE)
        # Bodies and answers are its JSON: a model of its own costs 0.2 ms, and a copy of a configuration.
        self._api: Any = AuthorizationV1Api(TypedClient(connection, timeout))

    async def load_rules(self, namespace: str | None) -> Rules:
        """Those that hold in a namespace, or everywhere for None."""
        body = {"spec": {"namespace": namespace or _NOWHERE}}
        try:
            async with self._turns:
                answer = await self._api.create_self_subject_rules_review(body, _preload_content=False)
            status = _decode_rules(answer.data).status
        except (ApiRefused, *UNREADABLE) as error:
            raise self._explain(error) from error
        if status.incomplete:
            return Rules(await self._load_allowed(namespace))
        return Rules(map(_build_rule, status.resource_rules or ()))

    async def may(self, attributes: dict[str, str]) -> bool:
        body = {"spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}}}
        try:
            async with self._turns:
                answer = await self._api.create_self_subject_access_review(body, _preload_content=False)
            return _decode_access(answer.data).status.allowed
        except (ApiRefused, *UNREADABLE) as error:
            raise self._explain(error) from error

    async def _load_allowed(self, namespace: str | None) -> list[Rule]:
        questions = _SHOWN if namespace is None else _IN_NAMESPACES
        answers = await asyncio.gather(*(self._ask(namespace, *question) for question in questions))
        return [rule for rule in answers if rule is not None]

    async def _ask(self, namespace: str | None, verb: str, resource: str) -> Rule | None:
        kind, _, group = resource.partition(".")
        plural, _, subresource = kind.partition("/")
        asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
        if namespace is not None:
            asked |= {"namespace": namespace} | ({"name": namespace} if kind == "namespaces" else {})
        return Rule(frozenset((verb,)), frozenset((group,)), frozenset((kind,))) if await self.may(asked) else None

    def _explain(self, error: Exception) -> Exception:
        cluster = self._cluster
        if isinstance(error, ApiRefused):
            if self._is_own:
                said = f"{cluster} answers a review of this server's own rights with {error.status}"
                return ClusterForbidden(cluster, f"{said}: is its credential anybody's there?")
            needed = "this server needs the rights to impersonate users and groups there, and everybody that to ask"
            return ClusterForbidden(cluster, f"{cluster} answers a review with {error.status}: {needed}")
        return ClusterAnswerInvalid(cluster, f"{cluster} answered a review with none")


def _build_rule(rule: _WireRule) -> Rule:
    return Rule(*map(_gather, (rule.verbs, rule.api_groups, rule.resources, rule.resource_names)))


def _gather(names: Iterable[str] | None) -> frozenset[str]:
    return frozenset(names or ())
