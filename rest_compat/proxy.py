"""`/api...` and `/apis...` with `?clustername=`: the Kubernetes API of one cluster, passed through."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.dependencies import get_principal
from auth.errors import AuthError
from fleet.model.errors import FleetError
from rest_compat.dispatch import ApiCall, build_answer, grant
from rest_compat.errors import build_error_shape, build_kubernetes_answer
from rest_compat.omcpctl_exec import answer_exec, is_word_exec
from rest_compat.open_streams import PassedOn, wait_turn
from rest_compat.parameters import read_path, read_query, split_clustername
from rest_compat.request import Request
from rest_compat.routing import METHODS, refuse_method


class ClusternameApi:
    """The paths below `/api` and `/apis`, with or without a slash at their end, as plain ASGI."""

    def __init__(self, passed_on: PassedOn) -> None:
        self._passed_on = passed_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except (AuthError, FleetError) as error:
            await wait_turn(error)
            answer = build_kubernetes_answer(request, error)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        """Authorizes the request for what it is about and answers what the member answers."""
        scope = request.scope
        if scope["method"] not in METHODS:
            return refuse_method(request)
        principal = await get_principal(request)
        cluster, query = split_clustername(read_query(request))
        principal = await grant(request, principal, cluster)
        shape = build_error_shape(scope)
        call = ApiCall(cluster=cluster, path=read_path(request), query=query, shape=shape, patient=False)
        if is_word_exec(request, call):
            return await answer_exec(request, principal, call, self._passed_on.streams)
        return build_answer(request, principal, call, self._passed_on)
