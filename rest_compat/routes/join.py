"""`/join` and `/joinCloud`: registers a cluster that is handed in as a kubeconfig, for the platform to join it.

The original took these from anybody and answered `OK` whatever came of it. Here only an administrator's token does,
where the server's settings allow it at all, and what is refused is said in a line of text, which is what the clients
show. Nothing joins by this: the OpenMCPCluster that is created waits with joinStatus UNJOIN.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from auth.policy import authorize_request
from auth.principal import Principal
from fleet.aio.bounded import read_bounded
from fleet.model.errors import FleetError, Forbidden, InvalidQuery
from fleet.model.request_info import RequestInfo
from fleet.ports import MAX_KUBECONFIG_BYTES, Registration, SubmittedCluster
from rest_compat.errors import AlreadyThere, BodyTooLarge, BodyTooSlow, find_status, message_for
from rest_compat.parameters import read_parameter, read_query
from rest_compat.platform import HOST_CLUSTER
from rest_compat.request import Request
from rest_compat.routing import build_route

MAX_BODY = 2 * MAX_KUBECONFIG_BYTES

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
_MAX_TEXT = 100
_MAX_NODES = 5_000
_TYPES = ("GKE", "EKS", "AKS")
# Region as an ISO country code, and the zone's name in the platform's own table of places.
_PLACES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("GKE", "asia-northeast1-a"): ("JP", "Tokyo"),
    ("GKE", "europe-west3-a"): ("DE", "Hesse"),
    ("GKE", "australia-southeast1-a"): ("AU", "New-South-Wales"),
    ("EKS", "eu-west-2"): ("GB", "England"),
    ("EKS", "eu-west-3"): ("FR", "Ile-de-France"),
    ("EKS", "us-east-1"): ("US", "Virginia"),
    ("AKS", "norwayeast"): ("NO", "Oslo"),
    ("AKS", "southeastasia"): ("TH", "Bangkok"),
    ("AKS", "westus"): ("US", "California"),
}


class InvalidFile(InvalidQuery):
    """The kubeconfig is missing or refused; the answer begins with the word that the clients know."""


def build_join_routes() -> dict[str, ASGIApp]:
    """Answered whatever the method: only POST carries a file."""
    return {"/join": build_route(join, _build_error), "/joinCloud": build_route(join_cloud, _build_error)}


async def join(request: Request, principal: Principal) -> Response:
    """Registers the kubeconfig's first cluster, under its name there. `data` says where its nodes are."""
    _authorize(request, principal)
    form, content = await _read_form(request)
    submitted = _read_file(request, content)
    regions, zones = _read_places(form.get("data"))
    registration = Registration(
        name=_check_name(submitted.name),
        platform="On-Premise",
        region=",".join(regions),
        zone=",".join(zones),
        with_address=True,
    )
    return await _register(request, principal, submitted, registration)


async def join_cloud(request: Request, principal: Principal) -> Response:
    """Registers the kubeconfig's first cluster under the name, type and place of the query."""
    _authorize(request, principal)
    query = read_query(request)
    name, platform, location = (
        read_parameter(query, parameter) or "" for parameter in ("clustername", "clustertype", "clusterlocation")
    )
    if platform not in _TYPES:
        raise InvalidQuery(f"clustertype is {platform[:_MAX_TEXT]!r}, must be one of {', '.join(_TYPES)}")
    _, content = await _read_form(request)
    submitted = _read_file(request, content)
    region, zone = _PLACES.get((platform, location), ("", ""))
    registration = Registration(_check_name(name), platform, region, zone, with_address=False)
    return await _register(request, principal, submitted, registration)


def _authorize(request: Request, principal: Principal) -> None:
    """Raises Forbidden where the server's settings or the caller's rights are in the way."""
    options = request.state["platform"]
    if not options.join:
        raise Forbidden("clusters are not registered here: OPENMCP_JOIN=true would switch that on")
    info = RequestInfo(
        verb="create",
        is_resource=True,
        api_group="openmcp.k8s.io",
        version="v1alpha1",
        resource="openmcpclusters",
        namespace=options.namespace,
    )
    authorize_request(principal, HOST_CLUSTER, info)


async def _register(
    request: Request, principal: Principal, submitted: SubmittedCluster, registration: Registration
) -> Response:
    federation, joining = request.state["federation"], request.state["joining"]
    host = federation.get_connection(principal.scope, HOST_CLUSTER)
    try:
        await joining.check_submitted(submitted, registration.name)
    except InvalidQuery as error:
        raise InvalidFile(str(error)) from error
    if not await joining.register(host, submitted, registration):
        raise AlreadyThere(f"a cluster named {registration.name} is registered already")
    return PlainTextResponse("OK\n")


async def _read_form(request: Request) -> tuple[FormData, bytes]:
    """The form and its `file`. Raises InvalidFile, BodyTooLarge."""
    too_large = f"INVALID_FILE: the form may have {MAX_BODY} bytes at most"
    bound = request.state["request_timeout"]
    try:
        async with asyncio.timeout(bound):
            body = await read_bounded(request.stream(), MAX_BODY, lambda: BodyTooLarge(too_large))
    except TimeoutError as error:
        raise BodyTooSlow(f"INVALID_FILE: the form did not arrive within {bound:g} s") from error

    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    if request.method != "POST" or not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidFile
    parser = MultiPartParser(request.headers, once(), max_files=1, max_fields=10, max_part_size=MAX_BODY)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise InvalidFile from error
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidFile
        return form, await file.read()
    finally:
        await form.close()


def _read_file(request: Request, content: bytes) -> SubmittedCluster:
    try:
        return request.state["joining"].read_submitted(content)
    except InvalidQuery as error:
        raise InvalidFile(str(error)) from error


def _check_name(name: str) -> str:
    """The name, where a cluster may have it. Raises InvalidQuery."""
    if not _NAME.fullmatch(name):
        raise InvalidQuery(
            f"{name[:_MAX_TEXT]!r} can't be a cluster's name: use at most 63 small letters, digits, '-' and '.', "
            "beginning and ending with a letter or digit"
        )
    if name == HOST_CLUSTER:
        raise InvalidQuery(f"{HOST_CLUSTER} is the host cluster's name: give the cluster another one")
    return name


def _read_places(data: Any) -> tuple[list[str], list[str]]:
    """Distinct regions and zones of `name,region,zone#name,region,zone`; what has other parts is ignored."""
    regions: dict[str, None] = {}
    zones: dict[str, None] = {}
    for entry in (data if isinstance(data, str) else "").split("#")[:_MAX_NODES]:
        parts = [part.strip() for part in entry.split(",")]
        if len(parts) == 3:
            regions[parts[1][:_MAX_TEXT]] = None
            zones[parts[2][:_MAX_TEXT]] = None
    return [region for region in regions if region], [zone for zone in zones if zone]


def _build_error(request: Request, error: FleetError) -> Response:
    text = message_for(request.scope, error)
    if isinstance(error, InvalidFile):
        text = f"INVALID_FILE: {text}" if text else "INVALID_FILE"
    return PlainTextResponse(text, find_status(error)[0])
