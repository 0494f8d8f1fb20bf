"""`/openapi.json` is for callers with a token, and says what is served: all of it, and nothing else."""

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
import schemathesis
from starlette.routing import Route

from rest_compat.router import build_legacy_apis
from rest_compat.routing import METHODS
from server.app import build_routers
from server.openapi import load_openapi
from tests.clients.serving import open_quiet_server
from tests.processes import RunningServer

BELOW = {
    "api": {"/api", "/api/{path}"},
    "apis": {"/apis", "/apis/{path}"},
    "clusters": {"/clusters/{name}/{path}"},
    "metrics": {"/metrics/nodes/{node}", "/metrics/namespaces/{namespace}/pods/{pod}", "/metrics/pods/{pod}"},
}
"""What is described of a legacy API that has everything below a first segment."""


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    async with open_quiet_server(tmp_path_factory.mktemp("openapi")) as running:
        yield running


def routed() -> dict[str, set[str]]:
    """The methods of each path of the framework's routes; `HEAD` goes with `GET`."""
    routes = [route for router in build_routers() for route in router.routes if isinstance(route, Route)]
    assert all(route.methods for route in routes)
    return {route.path.rstrip("/") or "/": (route.methods or set()) - {"HEAD"} for route in routes}


def test_each_route_is_described_and_nothing_else() -> None:
    methods = {
        path: {name.upper() for name in item if name != "parameters" and name != "description"}
        for path, item in load_openapi()["paths"].items()
    }
    own = routed()
    assert {path: methods.get(path) for path in own} == own
    legacy = [BELOW.get(at, {at.rstrip("/")}) for at in build_legacy_apis()]
    assert set(methods) == {*own, *(path for paths in legacy for path in paths)}
    assert {method for path in set(methods) - set(own) for method in methods[path]} <= set(METHODS)


def test_it_is_openapi_with_ids_of_its_own() -> None:
    document = load_openapi()
    schemathesis.openapi.from_dict(document).validate()
    operations = [one for item in document["paths"].values() for one in item.values() if isinstance(one, dict)]
    named = [one["operationId"] for one in operations if "operationId" in one]
    assert len(named) == len(set(named))
    assert all(re.fullmatch(r"[1-5]\d\d|default", status) for one in operations for status in one["responses"])


async def test_it_takes_a_token(server: RunningServer) -> None:
    token = await server.sign_in()
    async with aiohttp.ClientSession(server.url) as session:
        async with session.get("/openapi.json") as refused:
            assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        session.headers["Authorization"] = f"Bearer {token}"
        async with session.get("/openapi.json") as answer, session.get("/version") as version:
            assert (answer.status, answer.content_type) == (200, "application/json")
            document = await answer.json()
            assert document == load_openapi()
            assert document["info"]["version"] == (await version.json())["version"]
        async with session.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]}) as known:
            assert known.status == 304
    for page in ("/docs", "/redoc"):
        async with aiohttp.ClientSession(server.url) as session, session.get(page) as answer:
            assert answer.status == 404
