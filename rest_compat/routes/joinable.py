"""`/joinable`: the clusters that are registered in the host and not joined, as the original listed them."""

import asyncio

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from auth.policy import authorize_request
from auth.principal import Principal
from fleet.model.errors import ClusterTimeout
from fleet.model.request_info import RequestInfo
from rest_compat.platform import HOST_CLUSTER
from rest_compat.request import Request
from rest_compat.routing import build_json, build_null, build_reading_route


def build_joinable_routes() -> dict[str, ASGIApp]:
    route = build_reading_route(answer_joinable, lambda request, error: build_null(request, "items", error))
    return {"/joinable": route, "/joinable/": route}


async def answer_joinable(request: Request, principal: Principal) -> Response:
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
    return build_json({"items": items or None})
