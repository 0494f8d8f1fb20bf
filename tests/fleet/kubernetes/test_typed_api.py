"""The library's typed calls over a connection of ours."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kubernetes_asyncio.client import (
    AuthorizationV1Api,
    CustomObjectsApi,
    V1ResourceAttributes,
    V1SelfSubjectAccessReview,
    V1SelfSubjectAccessReviewSpec,
)

from fleet.kubernetes.connection import HttpConnection, Target
from fleet.kubernetes.errors import ApiRefused
from fleet.kubernetes.typed_api import TypedClient
from fleet.model.errors import ClusterAnswerInvalid
from tests.fleet.kubernetes.servers import open_http_server


async def serve(request: web.BaseRequest) -> web.Response:
    if request.path.startswith("/apis/authorization.k8s.io/v1/"):
        return web.json_response({**await request.json(), "status": {"allowed": True}}, status=201)
    group = request.path.split("/")[2]
    bodies = {"gone": (410, b'{"message":"too old"}'), "html": (200, b"<html>"), "bytes": (500, b"\xff")}
    status, body = bodies.get(group, (200, b'{"asked":"%s"}' % request.query_string.encode()))
    return web.Response(status=status, body=body)


@pytest.fixture
async def client() -> AsyncIterator[TypedClient]:
    async with open_http_server(serve) as url:
        connection = HttpConnection("openmcp", Target(url))
        yield TypedClient(connection, 2.0)
        await connection.close()


async def test_models_go_there_and_come_back(client: TypedClient) -> None:
    spec = V1SelfSubjectAccessReviewSpec(resource_attributes=V1ResourceAttributes(verb="list", resource="pods"))
    review = await AuthorizationV1Api(client).create_self_subject_access_review(V1SelfSubjectAccessReview(spec=spec))
    assert review.status.allowed is True
    assert review.spec.resource_attributes.resource == "pods"


async def test_what_is_asked_for_is_in_the_query(client: TypedClient) -> None:
    answer = await CustomObjectsApi(client).list_cluster_custom_object("g", "v1", "things", limit=2, _continue="a&b=")
    assert answer == {"asked": "continue=a%26b%3D&limit=2"}


@pytest.mark.parametrize(
    ("group", "error", "said"),
    [
        ("gone", ApiRefused, "the host cluster openmcp refused this server's request: too old"),
        ("bytes", ApiRefused, "refused this server's request: it answered 500"),
        ("html", ClusterAnswerInvalid, "cluster openmcp: its answer is not JSON"),
    ],
)
async def test_errors_are_the_fleets(client: TypedClient, group: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        await CustomObjectsApi(client).list_cluster_custom_object(group, "v1", "things")
