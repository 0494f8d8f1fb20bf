"""`/joinable`: the clusters that are registered in the host and not joined, as the original listed them."""

import asyncio
import json

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from auth.dependencies import CurrentPrincipal
from auth.errors import AuthError
from auth.policy import authorize_request
from fleet.model.errors import ClusterTimeout, FleetError
from fleet.model.request_info import RequestInfo
from rest_compat.errors import build_auth_answer, build_route_class, find_status
from rest_compat.metrics import METHODS
from rest_compat.platform import HOST_CLUSTER
from rest_compat.request import Request


def build_joinable_router() -> APIRouter:
    """The route, for whatever method it is called with."""
    router = APIRouter(route_class=build_route_class(_build_error), include_in_schema=False)
    for path in ("/joinable", "/joinable/"):
        router.add_api_route(path, answer_joinable, methods=METHODS, response_model=None)
    return router


async def answer_joinable(request: Request, principal: CurrentPrincipal) -> Response:
    """Clusters with joinStatus UNJOIN that are within the caller's reach; nothing of a credential is among it."""
    info = RequestInfo(
        verb="list",
        is_resource=True,
        api_group="core.kubefed.io",
        version="v1beta1",
        resource="kubefedclusters",
        namespace=request.state["platform"].namespace,
    )
    authorize_request(principal, HOST_CLUSTER, info)
    federation = request.state["federation"]
    connection = federation.get_connection(principal.scope, HOST_CLUSTER)
    bound = request.state["request_timeout"]
    try:
        async with asyncio.timeout(bound):
            clusters = await request.state["joining"].list_unjoined(connection)
    except TimeoutError as error:
        raise ClusterTimeout(HOST_CLUSTER, f"cluster {HOST_CLUSTER} did not answer within {bound:g} s") from error
    items = [msgspec.structs.asdict(cluster) for cluster in clusters if principal.scope.sees_cluster(cluster.name)]
    return _build_json({"items": items or None}, 200)


def _build_error(_request: Request, error: FleetError | AuthError) -> Response:
    if isinstance(error, AuthError):
        return build_auth_answer(error)
    return _build_json({"items": None, "error": str(error)}, find_status(error)[0])


def _build_json(content: object, status: int) -> Response:
    return Response(json.dumps(content, indent="\t", ensure_ascii=False), status, media_type="application/json")
