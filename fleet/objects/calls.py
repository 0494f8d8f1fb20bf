"""One member asked for objects of any kind: the call, and what its statuses mean."""

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from fleet.federation import Federation
from fleet.kubernetes.codec.tables import TABLE, TABLE_QUERY, ObjectPage, decode_objects
from fleet.kubernetes.codec.wire import DecodeError, status_message
from fleet.kubernetes.discovery import Served
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterForbidden,
    ClusterTimeout,
    InvalidQuery,
    NotFound,
)
from fleet.model.kube_objects import KubeObject, ResourceKey
from fleet.model.request_info import RequestInfo, parse_request
from fleet.model.told import foreign, tell
from fleet.model.visibility import EVERYTHING, Scope
from fleet.objects.pages import MAX_TOKEN
from fleet.ports import LIST_BYTES, Answer, Call, Connection

Authorize = Callable[[str, RequestInfo], None]
"""Lets a request to a cluster pass, or raises Forbidden. Whoever asks brings the rules of its own users."""

CHUNK = 500
"""Objects a call asks for at most, as kubectl does."""

_LEAST_SECONDS = 0.05


class MemberCalls:
    """What one request asks of members. `deadline` is in the event loop's time and bounds every call."""

    def __init__(self, federation: Federation, scope: Scope, authorize: Authorize, deadline: float) -> None:
        self.federation = federation
        self.scope = scope
        self._authorize = authorize
        self._deadline = deadline

    def of_server(self) -> "MemberCalls":
        """The same with this server's own rights, for what it asks for its own sake; never for an answer."""
        return MemberCalls(self.federation, EVERYTHING, lambda cluster, request: None, self._deadline)

    @property
    def timeout(self) -> float:
        """Seconds the next call may take: the member's, or what is left of the request's."""
        left = self._deadline - asyncio.get_running_loop().time()
        return max(_LEAST_SECONDS, min(self.federation.member_timeout, left))

    async def find(self, connection: Connection, api_version: str, kind: str) -> Served | None:
        """How the member serves a kind. Raises ClusterError."""
        timeout = self.timeout
        try:
            async with asyncio.timeout(timeout):  # another request may be reading the same catalog
                return await self.federation.catalogs.find(connection, api_version, kind, timeout)
        except TimeoutError:
            cluster = connection.cluster
            raise ClusterTimeout(cluster, f"{cluster} did not say what it serves within {timeout:g} s") from None

    def check(self, cluster: str, path: str, query: str) -> None:
        """Raises Forbidden where the caller may not send this, InvalidQuery for a name that is none."""
        self._authorize(cluster, parse_request("GET", path, query))

    async def list_chunk(
        self, connection: Connection, served: Served, namespace: str, query: dict[str, str], token: str, limit: int
    ) -> ObjectPage:
        """One chunk of a list.

        Raises Forbidden, ClusterError, and InvalidQuery where the member refuses the selector or does not know the
        token any more.
        """
        path = served.path(namespace)
        asked = {**query, "limit": str(min(limit, CHUNK)), **({"continue": token} if token else {})}
        self.check(connection.cluster, path, urlencode(asked))
        answer = await self._ask(connection, path, urlencode(asked))
        page = _decode(answer, served, connection.cluster)
        if len(page.continue_token or "") > MAX_TOKEN:
            raise ClusterAnswerInvalid(connection.cluster, f"{connection.cluster} gave out a token of absurd length")
        return page

    async def list_all(
        self, cluster: str, api_version: str, kind: str, namespace: str, query: dict[str, str], most: int
    ) -> list[KubeObject]:
        """A whole list; none where the member does not serve the kind.

        Raises as `list_chunk`, ClusterNotFound, and InvalidQuery where there are more than `most`.
        """
        await self.federation.wait_known()
        connection = self.federation.get_connection(self.scope, cluster)
        served = await self.find(connection, api_version, kind)
        found: list[KubeObject] = []
        token = ""  # nosec B105 - where a list begins
        while served is not None:
            page = await self.list_chunk(connection, served, namespace, query, token, CHUNK)
            found += page.objects
            token = page.continue_token or ""
            if not token:
                break
            if len(found) >= most:
                raise InvalidQuery(f"{cluster} has more than {most:,} {served.resource} to look through: ask for less")
        return found

    async def get(self, key: ResourceKey) -> KubeObject | None:
        """One object; None where the cluster has none of that name.

        Raises ClusterNotFound, Forbidden, ClusterError, and InvalidQuery for a kind that the cluster does not serve.
        """
        await self.federation.wait_known()
        connection = self.federation.get_connection(self.scope, key.cluster)
        served = await self.find(connection, key.api_version, key.kind)
        if served is None:
            near = self.federation.catalogs.near([connection], key.api_version, key.kind)
            raise unknown_kind(key.api_version, key.kind, near)
        if served.namespaced and not key.namespace:
            raise InvalidQuery(f"{key.kind} is of a namespace: name it")
        if not key.name:
            raise InvalidQuery("`name` is empty")
        path = served.path(key.namespace, key.name)
        self.check(connection.cluster, path, "")
        try:
            page = _decode(await self._ask(connection, path, ""), served, connection.cluster)
        except NotFound:
            return None
        return page.objects[0] if page.objects else None

    async def _ask(self, connection: Connection, path: str, query: str) -> Answer:
        timeout = self.timeout
        query = f"{query}&{TABLE_QUERY}" if query else TABLE_QUERY
        answer = await connection.request(
            Call("GET", path, timeout, query, [(b"Accept", TABLE)], most_bytes=LIST_BYTES)
        )
        if answer.status != 200:
            raise _error(answer, connection.cluster, path, timeout)
        return answer


def unknown_kind(api_version: str, kind: str, near: Sequence[str]) -> InvalidQuery:
    """For a kind that no member serves, or none that can be asked, naming near ones."""
    meant = f"; did you mean {', '.join(near)}?" if near else ""
    return InvalidQuery(f"no cluster serves the kind {kind[:100]!r} of {api_version[:100]!r}{meant}")


def _decode(answer: Answer, served: Served, cluster: str) -> ObjectPage:
    try:
        return decode_objects(answer.body, served, cluster)
    except DecodeError as error:
        raise ClusterAnswerInvalid(cluster, f"cluster {cluster}: {error}") from error


def _error(answer: Answer, cluster: str, path: str, timeout: float) -> Exception:
    said = foreign(status_message(answer.body) or f"it answers {answer.status}")
    if answer.status in (400, 422):
        return InvalidQuery(tell("{} refuses the question: {}", cluster, said))
    if answer.status == 403:
        return ClusterForbidden(cluster, tell("{} does not let this server do that: {}", cluster, said))
    if answer.status == 404:
        return NotFound(tell("{}: {}", cluster, said))
    if answer.status == 410:
        return InvalidQuery(
            f"the cursor is too old: {cluster} does not know its continue token any more; start again without `after`"
        )
    if answer.status == 504:
        return ClusterTimeout(cluster, tell("{} did not answer {} within {:g} s: {}", cluster, path, timeout, said))
    return ClusterAnswerInvalid(cluster, tell("{} answers {} to {}: {}", cluster, answer.status, path, said))
