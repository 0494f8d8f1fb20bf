"""Objects of any kind over all clusters, asked of the members when a query wants them."""

import asyncio
import re
from collections.abc import Collection, Iterator
from functools import partial
from urllib.parse import urlencode

from msgspec import Struct

from fleet.aio.fanout import ask_all
from fleet.kubernetes.discovery import Served
from fleet.members.signs import state_of
from fleet.model.errors import ClusterError, ClusterNotFound, ClusterUnreachable, Forbidden, InvalidQuery, NotFound
from fleet.model.kube_objects import KubeObject
from fleet.model.objects import OnUnavailable, Outcome, OutcomeState
from fleet.model.ordered import LazySequence
from fleet.model.queries import MAX_PAGE, PageRequest
from fleet.model.selectors import parse_label_selector
from fleet.objects.calls import CHUNK, MemberCalls, unknown_kind
from fleet.objects.pages import (
    Place,
    ResourceFilter,
    ResourcePage,
    ResourceQuestion,
    build_cursor,
    order_key,
    parse_cursor,
)
from fleet.ports import Connection

MAX_NAMESPACES = 100
"""Namespaces that one question may name (or reach) at most: each is a call."""

MAX_SELECTOR = 4_000
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._:]{0,251}[A-Za-z0-9])?")


class _Found(Struct, frozen=True):
    """What one cluster gave: at most a page. `refusal` says why the caller may not have it."""

    connection: Connection | None = None
    objects: tuple[KubeObject, ...] = ()
    places: tuple[Place, ...] = ()
    more: bool = False
    served: bool = True
    refusal: str | None = None


async def list_resources(
    calls: MemberCalls, question: ResourceQuestion, page: PageRequest, on_unavailable: OnUnavailable
) -> ResourcePage:
    """A page of objects of one kind, all clusters asked at once, ordered by cluster, namespace and name.

    A cluster that does not serve the kind is OK, with nothing and a message. STALE acts as PARTIAL, since nothing is
    kept of these kinds. `has_next` is never false where there is more; it may be true before an empty page where a
    name, a selector or namespaces are asked for, or not all are in reach, since only reading on would tell.

    Raises InvalidQuery for a kind that no cluster serves (naming near ones; only where there are any, if not all can be
    asked), a selector that a member refuses, and a cursor that has expired; ClusterNotFound for a named cluster that
    does not exist; Forbidden where no cluster's answer is within the caller's reach; with STRICT the error of the first
    member that is missing.
    """
    after = _check(question, page)
    wanted = question.filter
    await calls.federation.wait_known()
    names = sorted(name for name in _reach(calls, wanted) if after is None or name >= after.cluster)

    took_ms: dict[str, float] = {}

    async def ask(cluster: str) -> _Found:
        started = asyncio.get_running_loop().time()
        place = after if after is not None and after.cluster == cluster else None
        try:
            return await _ask_member(calls, cluster, question, place, page.first)
        finally:
            took_ms[cluster] = (asyncio.get_running_loop().time() - started) * 1000

    answers = await ask_all(names, ask, timeout=calls.timeout)
    _raise_what_concerns_all(calls, question, answers, on_unavailable)
    outcomes = [_outcome(name, answer, question, took_ms.get(name)) for name, answer in answers.items()]
    return _merge(question, page, answers, outcomes, has_previous=after is not None)


def _check(question: ResourceQuestion, page: PageRequest) -> Place | None:
    """What can be refused before anybody is asked; and the page's place. Raises InvalidQuery."""
    wanted = question.filter
    if not 0 <= page.first <= MAX_PAGE:
        raise InvalidQuery(f"first must be from 0 to {MAX_PAGE:,}, not {page.first:,}")
    if wanted.label_selector:
        parse_label_selector(wanted.label_selector)
    for selector in (wanted.label_selector, wanted.field_selector):
        if selector and (len(selector) > MAX_SELECTOR or not selector.isprintable()):
            raise InvalidQuery(f"a selector is at most {MAX_SELECTOR:,} printable characters")
    if len(wanted.namespaces or ()) > MAX_NAMESPACES:
        raise InvalidQuery(f"at most {MAX_NAMESPACES} namespaces can be named")
    for namespace in sorted(wanted.namespaces or ()):
        if not _NAME.fullmatch(namespace):
            raise InvalidQuery(f"{namespace[:100]!r} is no name of a namespace")
    return None if page.after is None else parse_cursor(question, page.after)


def _reach(calls: MemberCalls, wanted: ResourceFilter) -> Collection[str]:
    """The clusters to ask. Raises ClusterNotFound."""
    federation, scope = calls.federation, calls.scope
    for name in sorted(wanted.clusters or ()):
        federation.resolve_name(scope, name)
    asked = federation.feed.resolve(wanted, scope, partial(federation.own_name, scope)).asked
    return {cluster.name for cluster in federation.list_clusters(scope)} if asked is None else asked


async def _ask_member(
    calls: MemberCalls, cluster: str, question: ResourceQuestion, place: Place | None, count: int
) -> _Found:
    try:
        connection = calls.federation.get_connection(calls.scope, cluster)
    except ClusterNotFound:
        raise ClusterUnreachable(cluster, f"{cluster} left the federation in this moment") from None
    served = await calls.find(connection, question.api_version, question.kind)
    if served is None:
        return _Found(connection, served=False)
    if "list" not in served.verbs:
        raise InvalidQuery(f"{question.kind} of {question.api_version} can't be listed")
    try:
        parts = _split(calls, cluster, served, question.filter)
        query = _build_query(question.filter)
        for part in parts:
            calls.check(cluster, served.path(part), urlencode(query))
        return await _read(calls, connection, served, question, parts, place, count)
    except Forbidden as error:
        return _Found(connection, refusal=str(error))
    except NotFound:
        calls.federation.catalogs.forget(connection)  # the kind was taken away since the catalog was read
        return _Found(connection, served=False)


def _split(calls: MemberCalls, cluster: str, served: Served, wanted: ResourceFilter) -> list[str]:
    """The lists to ask for: one a namespace, or the one of all, which is "". Raises Forbidden, InvalidQuery."""
    if not served.namespaced:
        if wanted.namespaces is not None:
            return []
        return [""]
    scope = calls.scope
    if wanted.namespaces is None and scope.sees_all_namespaces(cluster, served.qualified):
        return [""]
    if wanted.namespaces is None:
        parts = calls.federation.visible_namespaces(scope, cluster, served.qualified)
    else:
        parts = [name for name in sorted(wanted.namespaces) if scope.names_namespace(cluster, name)]
    if not parts and wanted.namespaces != frozenset():
        raise Forbidden(f"none of the namespaces asked for in {cluster} is within your reach")
    if len(parts) > MAX_NAMESPACES:
        raise InvalidQuery(f"more than {MAX_NAMESPACES} namespaces of {cluster} are within your reach: name some")
    return sorted(parts, key=lambda name: f"{name}/")  # as the API server sorts what is in them


def _build_query(wanted: ResourceFilter) -> dict[str, str]:
    fields = [wanted.field_selector] if wanted.field_selector else []
    if wanted.name is not None and wanted.name.eq is not None and _NAME.fullmatch(wanted.name.eq):
        fields.append(f"metadata.name={wanted.name.eq}")
    query = {"labelSelector": wanted.label_selector or "", "fieldSelector": ",".join(fields)}
    return {name: value for name, value in query.items() if value}


async def _read(
    calls: MemberCalls,
    connection: Connection,
    served: Served,
    question: ResourceQuestion,
    parts: list[str],
    place: Place | None,
    count: int,
) -> _Found:
    """A page's worth of one cluster's objects, chunk after chunk, from the place on."""
    objects: list[KubeObject] = []
    places: list[Place] = []
    query = _build_query(question.filter)
    looked_through = question.filter.name is not None and "metadata.name=" not in query.get("fieldSelector", "")
    left = [part for part in parts if place is None or f"{part}/" >= f"{place.part}/"]
    while left:
        part = left.pop(0)
        token, after = (place.token, place.after) if place is not None and place.part == part else ("", "")
        while True:
            # What is left of a page would be ever smaller chunks where most objects are dropped here, by their name.
            limit = CHUNK if looked_through else max(1, min(CHUNK, count - len(objects)))
            chunk = await calls.list_chunk(connection, served, part, query, token, limit)
            after_chunk = Place(connection.cluster, part, chunk.continue_token or token, "")
            for item, is_last in _sorted_after(chunk.objects, after):
                if question.filter.name is None or question.filter.name.matches(item.name):
                    objects.append(item)
                    here = after_chunk if is_last else Place(connection.cluster, part, token, "")
                    places.append(here._replace(after=order_key(item)))
            if len(objects) >= count or not chunk.continue_token:
                break
            token = chunk.continue_token
        if len(objects) >= count:
            more = len(objects) > count or bool(chunk.continue_token) or bool(left)
            return _Found(connection, tuple(objects[:count]), tuple(places[:count]), more)
    return _Found(connection, tuple(objects), tuple(places))


def _sorted_after(objects: tuple[KubeObject, ...], after: str) -> Iterator[tuple[KubeObject, bool]]:
    """A chunk's objects behind a place, each with whether it is the last. API servers sort them; others may not."""
    ordered = sorted(objects, key=order_key)
    for item in ordered:
        if not after or order_key(item) > after:
            yield item, item is ordered[-1]


def _raise_what_concerns_all(
    calls: MemberCalls,
    question: ResourceQuestion,
    answers: dict[str, _Found | ClusterError],
    on_unavailable: OnUnavailable,
) -> None:
    found = [answer for answer in answers.values() if isinstance(answer, _Found)]
    refusals = [answer.refusal for answer in found if answer.refusal]
    strict = on_unavailable is OnUnavailable.STRICT
    serving = [answer for answer in found if answer.served]
    if refusals and (strict or (len(refusals) >= len(serving) and len(found) == len(answers))):
        raise Forbidden(refusals[0])
    for answer in answers.values():
        if strict and isinstance(answer, ClusterError):
            raise answer
    if found and not serving:
        connections = [answer.connection for answer in found if answer.connection is not None]
        near = calls.federation.catalogs.near(connections, question.api_version, question.kind)
        # What a member serves that can't be asked is not known; a word that is nearly another is a slip all the same.
        if near or len(found) == len(answers):
            raise unknown_kind(question.api_version, question.kind, near)


def _merge(
    question: ResourceQuestion,
    page: PageRequest,
    answers: dict[str, _Found | ClusterError],
    outcomes: list[Outcome],
    *,
    has_previous: bool,
) -> ResourcePage:
    found = [answer for answer in answers.values() if isinstance(answer, _Found)]
    objects = [item for answer in found for item in answer.objects]
    places = [place for answer in found for place in answer.places]
    return ResourcePage(
        objects=tuple(objects[: page.first]),
        cursors=LazySequence(partial(build_cursor, question), places[: page.first]),
        has_next=len(objects) > page.first or any(answer.more for answer in found),
        has_previous=has_previous,
        outcomes=tuple(sorted(outcomes, key=lambda outcome: outcome.cluster)),
    )


def _outcome(name: str, answer: _Found | ClusterError, question: ResourceQuestion, took_ms: float | None) -> Outcome:
    if isinstance(answer, ClusterError):
        return Outcome(name, state_of(answer), str(answer), took_ms=took_ms)
    if answer.refusal is not None:
        return Outcome(name, OutcomeState.FORBIDDEN, answer.refusal, took_ms=took_ms)
    message = None if answer.served else f"{name} does not serve the kind {question.kind} of {question.api_version}"
    return Outcome(name, OutcomeState.OK, message, age_seconds=0.0, took_ms=took_ms)
