"""`/clusters/{name}/...`: the Kubernetes API of one cluster, for clients that can't add a parameter to their URLs.

`https://SERVER/clusters/NAME` is what a kubeconfig names as a cluster's server. All answers of this server's own are
Kubernetes' Status objects, since every client here is one of Kubernetes.

Names may hold `/`, as those that cloud tools give to contexts do. client-go decodes the URL and sends the slash bare: a
name ends where a served path begins. Where several do, the longest name of a cluster in reach is meant; what is out of
reach never decides, so that nobody learns of it.
"""

import re
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from auth.authenticator import Authenticator
from auth.dependencies import check_rate, note_principal, read_credential
from auth.errors import AuthError
from auth.impersonation import refuse_impersonation
from fleet.federation import Federation
from fleet.model.errors import FleetError, Forbidden, InvalidQuery, NotFound
from rest_compat.dispatch import ApiCall, build_answer, grant
from rest_compat.errors import ErrorShape, build_status_answer
from rest_compat.open_streams import PassedOn
from rest_compat.parameters import read_path, read_query, split_clustername
from rest_compat.request import Request
from rest_compat.upgrades import read_subprotocol_token

SERVED = ("/api", "/apis", "/version", "/openapi/v2", "/openapi/v3", "/healthz", "/readyz", "/livez")
"""What is passed on of a member's paths, with whatever is below: resources, and what every client may read."""

_DISCOVERY = "g=apidiscovery.k8s.io"

_TARGET = re.compile(r"/clusters/([^/]+)(/.*)?")
_SERVED_PATH = re.compile(f"(?:{'|'.join(SERVED)})(?=/|$)")
_SHAPE = ErrorShape(widened=False, with_spec=False)


class ClusterApi:
    """The routes below `/clusters`, as plain ASGI."""

    def __init__(self, passed_on: PassedOn) -> None:
        self._passed_on = passed_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except AuthError as error:
            answer = _build_unauthorized(error)
        except FleetError as error:
            answer = build_status_answer(scope, _SHAPE, error)
            if isinstance(error, Forbidden) and _DISCOVERY in request.headers.get("accept", ""):
                # client-go shows its user the text of a discovery that is refused, of a Status the word "unknown".
                answer = PlainTextResponse(str(error), answer.status_code)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        authenticator: Authenticator = request.state["authenticator"]
        credential = read_credential(request) or read_subprotocol_token(request)
        principal = note_principal(request, await authenticator.authenticate(credential))
        refuse_impersonation(request.scope["headers"])
        await check_rate(request, principal)
        federation: Federation = request.state["federation"]
        cluster, path = split_target(read_path(request), partial(federation.reaches, principal.scope))
        principal = await grant(request, principal, cluster)
        query = _check_query(cluster, read_query(request))
        call = ApiCall(cluster=cluster, path=path, query=query, shape=_SHAPE, patient=True)
        return build_answer(request, principal, call, self._passed_on)


def split_target(path: str, is_in_reach: Callable[[str], bool]) -> tuple[str, str]:
    """The cluster's name and the member's path; `is_in_reach` is asked where the name may end in several places.

    Raises InvalidQuery, NotFound.
    """
    match = _TARGET.fullmatch(path)
    if match is None:
        raise NotFound(f"{path[:200]!r} names no cluster: the URL of a cluster is /clusters/NAME")
    begins, end = match.start(1), match.end(1)
    starts = [found.start() for found in _SERVED_PATH.finditer(path, end)]
    if not starts or path[end:].startswith("//"):
        rest = match[2] or "/"
        raise NotFound(f"{rest[:200]!r} is not passed on to a cluster: {', '.join(SERVED)} are")
    start = starts[0]
    if len(starts) > 1:
        start = next((at for at in reversed(starts) if is_in_reach(unquote(path[begins:at]))), start)
    return unquote(path[begins:start]), path[start:]


def _check_query(cluster: str, query: str) -> str:
    """The query for the member. A `clustername` may say again what the path says, and nothing else."""
    try:
        named, rest = split_clustername(query)
    except InvalidQuery:
        return query
    if named != cluster:
        raise InvalidQuery(f"the path names cluster {cluster[:100]!r}, clustername {named[:100]!r}: name one of them")
    return rest


def _build_unauthorized(error: AuthError) -> Response:
    body = _SHAPE.build_status(401, "Unauthorized", str(error))
    return Response(body, 401, {"WWW-Authenticate": "Bearer"}, "application/json")
