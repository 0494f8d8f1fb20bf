"""All legacy routes, mounted without a prefix."""

from starlette.types import ASGIApp

from rest_compat.clusters import ClusterApi
from rest_compat.open_streams import MAX_CALLS, OpenStreams, PassedOn
from rest_compat.proxy import ClusternameApi
from rest_compat.routes.join import build_join_routes
from rest_compat.routes.joinable import build_joinable_routes
from rest_compat.routes.metrics import build_metrics_routes
from rest_compat.routes.status import build_status_routes
from rest_compat.routes.token import build_token_routes

PASSED_ON = frozenset({"api", "apis", "clusters"})
"""The first segments below which a member answers, coded as it and the caller agree."""


def build_legacy_apis(user_streams: int = 500, user_calls: int = 200) -> dict[str, ASGIApp]:
    """`/token`, `/api...`, `/apis...`, `/clusters/...`, `/metrics...`, `/status`, `/joinable`, `/join`, `/joinCloud`.

    Each is plain ASGI, by its path or, for all that is below one, by the first segment. They find
    `rest_compat.request.RestState` in the lifespan's state.
    """
    streams = OpenStreams(of_a_user=user_streams)
    passed_on = PassedOn(streams, OpenStreams(MAX_CALLS, user_calls, "calls"))
    named_in_query = ClusternameApi(passed_on)
    return {
        "api": named_in_query,
        "apis": named_in_query,
        "clusters": ClusterApi(passed_on),
        **build_token_routes(),
        **build_metrics_routes(),
        **build_status_routes(),
        **build_joinable_routes(),
        **build_join_routes(),
    }
