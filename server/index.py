"""What a newcomer asks first: which URLs there are, and which version this is. Both without a token."""

from importlib.metadata import version

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from graph.http.graphiql_page import wants_page

_URLS = {
    "/graphql": "the graph, by POST or GET, WebSocket and server-sent events; a page for browsers",
    "/schema.graphql": "its schema",
    "/token": "a token for a user and a password",
    "/oidc": "the issuers at which people sign in by OpenID Connect",
    "/clusters/{name}": "the Kubernetes API of a cluster, as a kubeconfig's server",
    "/api, /apis": "the same, of the cluster in ?clustername=",
    "/metrics/nodes/{node}": "stored metrics of a node of ?clustername=",
    "/metrics/namespaces/{namespace}/pods/{pod}": "stored metrics of a pod of ?clustername=",
    "/status": "scores of the cluster of ?clustername=",
    "/joinable": "clusters that can be joined",
    "/healthz": "whether this process answers",
    "/readyz": "whether it is ready, part by part",
    "/version": "its version",
    "/openapi.json": "all of this in OpenAPI 3.1, with a token",
}


def build_index_router() -> APIRouter:
    router = APIRouter()
    router.add_route("/", serve_index, methods=["GET"], include_in_schema=False)
    router.add_route("/version", serve_version, methods=["GET"], include_in_schema=False)
    return router


async def serve_index(request: Request) -> Response:
    """The page for a browser, the URLs for everybody else."""
    answer = RedirectResponse("graphql") if wants_page(request) else JSONResponse({"urls": _URLS})
    answer.headers["vary"] = "accept"
    return answer


async def serve_version(_request: Request) -> Response:
    return JSONResponse({"name": "openmcp-apiserver", "version": version("openmcp-apiserver")})
