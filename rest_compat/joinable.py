"""`/joinable`: the clusters that are registered in the host and not joined, as the original listed them."""

import asyncio
import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from auth.dependencies import CurrentPrincipal
from auth.errors import AuthError
from auth.policy import authorize_request
from fleet.kubernetes.sources.joining import MAX_KUBECONFIG_BYTES, read_server
from fleet.model.errors import ClusterAnswerInvalid, ClusterTimeout, FleetError, InvalidQuery
from fleet.model.request_info import RequestInfo
from fleet.ports import Call, Connection
from rest_compat.errors import build_auth_answer, build_route_class, find_status
from rest_compat.metrics import METHODS
from rest_compat.platform import HOST_CLUSTER, PlatformOptions, load_content
from rest_compat.request import Request

_PAGE = 200
_MOST_PAGES = 20


def build_joinable_router() -> APIRouter:
    """The route, for whatever method it is called with."""
    router = APIRouter(route_class=build_route_class(_build_error), include_in_schema=False)
    for path in ("/joinable", "/joinable/"):
        router.add_api_route(path, answer_joinable, methods=METHODS, response_model=None)
    return router


async def answer_joinable(request: Request, principal: CurrentPrincipal) -> Response:
    """Clusters with joinStatus UNJOIN that are within the caller's reach; nothing of a credential is among it."""
    options = request.state["platform"]
    info = RequestInfo(
        verb="list",
        is_resource=True,
        api_group="core.kubefed.io",
        version="v1beta1",
        resource="kubefedclusters",
        namespace=options.namespace,
    )
    authorize_request(principal, HOST_CLUSTER, info)
    federation = request.state["federation"]
    connection = federation.get_connection(principal.scope, HOST_CLUSTER)
    bound = request.state["request_timeout"]
    try:
        async with asyncio.timeout(bound):
            listed = await _list_unjoined(connection, options)
            # Kubeconfigs are YAML, which is slow to read.
            items = await asyncio.to_thread(lambda: [_build_item(name, spec) for name, spec in listed])
    except TimeoutError as error:
        raise ClusterTimeout(HOST_CLUSTER, f"cluster {HOST_CLUSTER} did not answer within {bound:g} s") from error
    seen = [item for item in items if principal.scope.sees_cluster(item["name"])]
    return _build_json({"items": seen or None}, 200)


async def _list_unjoined(connection: Connection, options: PlatformOptions) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and spec of each, in pages. Raises ClusterError."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    after = ""
    for _ in range(_MOST_PAGES):
        query = f"limit={_PAGE}" + (f"&continue={after}" if after else "")
        answer = await connection.request(Call("GET", options.path, query=query, timeout=options.timeout))
        content = load_content(answer)
        found += _select_unjoined(content.get("items") or ())
        metadata = content.get("metadata")
        token = metadata.get("continue") if isinstance(metadata, dict) else None
        if not token:
            return found
        after = quote(str(token), safe="")
    raise ClusterAnswerInvalid(HOST_CLUSTER, f"cluster {HOST_CLUSTER} has more than {_PAGE * _MOST_PAGES} clusters")


def _select_unjoined(items: Iterable[Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    for item in items:
        metadata, spec = (item.get("metadata"), item.get("spec")) if isinstance(item, dict) else (None, None)
        if isinstance(metadata, dict) and isinstance(spec, dict) and spec.get("joinStatus") == "UNJOIN":
            found.append((_text(metadata.get("name")), spec))
    return found


def _build_item(name: str, spec: Mapping[str, Any]) -> dict[str, str]:
    info = spec.get("nodeInfo")
    place = info if isinstance(info, dict) else {}
    return {
        "name": name,
        "endpoint": _find_endpoint(spec),
        "platform": _text(spec.get("clusterPlatformType")),
        "region": _text(place.get("region")),
        "zone": _text(place.get("zone")),
    }


def _find_endpoint(spec: Mapping[str, Any]) -> str:
    """The server that the stored kubeconfig names, else the address that was stored beside it."""
    encoded = _text(spec.get("kubeconfigInfo"))
    try:
        if encoded and len(encoded) <= 2 * MAX_KUBECONFIG_BYTES:
            return read_server(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError, InvalidQuery):
        pass  # whoever joins the cluster is told; here the address is all that is wanted
    return _text(spec.get("serverIP"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _build_error(_request: Request, error: FleetError | AuthError) -> Response:
    if isinstance(error, AuthError):
        return build_auth_answer(error)
    return _build_json({"items": None, "error": str(error)}, find_status(error)[0])


def _build_json(content: object, status: int) -> Response:
    return Response(json.dumps(content, indent="\t", ensure_ascii=False), status, media_type="application/json")
