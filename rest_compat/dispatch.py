"""A call for the Kubernetes API of one cluster, whichever URL named the cluster: authorized, then passed on."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from auth.dependencies import read_credential
from auth.errors import IdentityUnavailable
from auth.policy import authorize_request
from auth.principal import Principal
from fleet.aio.request_context import VIA, note_call
from fleet.federation import Federation
from fleet.model.errors import ClusterUnreachable
from fleet.model.redaction import EnvValues
from fleet.model.request_info import RequestInfo, parse_request
from fleet.ports import Call, Headers
from rest_compat.errors import ErrorShape, NotServed
from rest_compat.headers import find_header, has_body, select_member_headers
from rest_compat.open_streams import PassedOn
from rest_compat.parameters import read_parameter
from rest_compat.passthrough import BODILESS, MemberCall, PassThrough
from rest_compat.redacted import ask_as_json, must_redact
from rest_compat.request import Request
from rest_compat.resource_metrics import Question, ResourceMetrics, may_be_answered
from rest_compat.self_reviews import SelfReview, is_self_review
from rest_compat.upgrades import Upgrade, read_subprotocol_token, read_upgrade, select_upgrade_headers

WRITE_TIMEOUT = 65.0
"""Seconds a write may take: an API server itself gives up after 60, and only its own word says what came of it."""

FOLLOW_TIMEOUT = 24 * 3600.0
"""Seconds until the head of a followed log: older API servers send it with the first line only."""


class ApiCall(Struct, frozen=True):
    """What is asked of which cluster. `path` and `query` are the member's, as the caller encoded them.

    `patient` gives reads as long as the API server takes for them: its own clients bring a deadline or want none.
    """

    cluster: str
    path: str
    query: str
    shape: ErrorShape
    patient: bool


async def grant(request: Request, principal: Principal, cluster: str) -> Principal:
    """The caller, with what the cluster lets him see where members decide. Raises Forbidden."""
    if principal.scope.granted is None:
        return principal
    federation: Federation = request.scope["state"]["federation"]
    return replace(principal, scope=await federation.grant(principal.scope, cluster))


def build_answer(request: Request, principal: Principal, call: ApiCall, passed_on: PassedOn) -> Response:
    """The response that passes the call on.

    Raises InvalidQuery, Forbidden, ClusterNotFound, ClusterUnreachable.
    """
    info = parse_request(request.scope["method"], call.path, call.query)
    federation: Federation = request.scope["state"]["federation"]
    cluster = federation.resolve_name(principal.scope, call.cluster)
    request.scope["call"] = (cluster, info)
    note_call(cluster, info.summary)
    if is_self_review(info):
        connection = federation.get_connection(principal.scope, cluster)
        return SelfReview(principal, federation, connection, _build_call(request, call, info), call.shape)
    authorize_request(principal, cluster, info)
    connection = federation.get_connection(principal.scope, cluster)

    def check_member() -> object:
        return federation.get_connection(principal.scope, cluster)

    check_rights = build_rights_check(request, principal, cluster, info)
    headers: Headers = request.scope["headers"]
    if VIA.decode() in (find_header(headers, b"via") or ""):
        raise ClusterUnreachable(cluster, f"cluster {cluster} leads to this server itself: name its own API server")
    upgrade = read_upgrade(request) if find_header(headers, b"upgrade") is not None else None
    if upgrade is not None:
        sent = select_upgrade_headers(headers)
        passed = Call(request.method, call.path, WRITE_TIMEOUT, call.query, sent, upgrade=upgrade)
    else:
        passed = _build_call(request, call, info)
    foreign = info.subresource == "proxy"
    env = request.scope["state"].get("redact_env", EnvValues.SHOWN)
    redacts = env if must_redact(principal, cluster, info, env) else None
    if redacts is not None:
        if upgrade is not None:
            raise NotServed("this is passed on by HTTP alone to who may not read Secrets: leave `Upgrade` out")
        passed = replace(passed, headers=ask_as_json(passed.headers))
    member = MemberCall(
        principal,
        connection,
        passed,
        call.shape,
        foreign=foreign,
        watches=info.verb == "watch",
        check_member=check_member,
        check_rights=check_rights,
        stopping=request.state["stopping"],
        redacts=redacts,
    )
    if upgrade is not None:
        return Upgrade(member, principal.name, passed_on.streams)
    streams = passed.idle_timeout is None and not foreign
    if streams:
        request.scope["streams"] = True  # for who counts how long answers take
    held = passed_on.streams if streams else passed_on.calls
    answer = PassThrough(member, held.hold(principal.name))
    if may_be_answered(passed.method, call.path):
        question = Question(principal, connection, info, passed, request.state["request_timeout"])
        return ResourceMetrics(question, federation, request.state["metric_store"], call.shape, answer)
    return answer


def build_rights_check(
    request: Request, principal: Principal, cluster: str, info: RequestInfo
) -> Callable[[], Awaitable[None]]:
    """Raises Unauthenticated, Forbidden or NotFound once the request would not be let in any more."""
    authenticator = request.state["authenticator"]
    credential = read_credential(request) or read_subprotocol_token(request)
    grants = request.scope["state"]["federation"].grants if principal.scope.granted is not None else None
    check_member = None if grants is None or not info.is_resource else grants.follow(principal.scope, cluster, info)

    async def check() -> None:
        with suppress(IdentityUnavailable):  # nobody says that the right has ended: asked again the next time
            authorize_request(await authenticator.authenticate(credential), cluster, info)
        if check_member is not None:
            await check_member()

    return check


def _build_call(request: Request, call: ApiCall, info: RequestInfo) -> Call:
    bound: float = WRITE_TIMEOUT if call.patient else request.scope["state"]["request_timeout"]
    follows = info.subresource == "log" and read_parameter(call.query, "follow") not in (None, "false", "0")
    method = request.scope["method"]
    reads = method in BODILESS
    headers: Headers = request.scope["headers"]
    return Call(
        method,
        call.path,
        FOLLOW_TIMEOUT if follows else bound if reads else WRITE_TIMEOUT,
        call.query,
        select_member_headers(headers, with_body=not reads and has_body(headers), with_agent=call.patient),
        idle_timeout=None if follows or info.subresource == "proxy" or info.verb == "watch" else bound,
    )
