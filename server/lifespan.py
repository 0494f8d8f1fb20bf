"""Opens everything the server works with, and closes it by leaving the `with`."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, NotRequired

import msgspec
from starlette.requests import Request

from auth.authenticator import AuthOptions, open_authenticator
from auth.oidc.configuration import load_issuers
from auth.oidc.errors import IssuerInvalid
from auth.oidc.issuer import Issuer, check_issuers
from auth.token_review import ReviewedTokens
from fleet.aio.admission import Admission, AdmissionOptions
from fleet.aio.stopping import Stopping
from fleet.aio.tasks import open_task
from fleet.collector.outputs import Buffer
from fleet.federation import Federation
from fleet.kubernetes.sources.joining import HostJoining
from fleet.kubernetes.sources.several import SeveralSources
from fleet.kubernetes.token_reviews import TokenReviews
from fleet.live.usage_cache import UsageCache
from fleet.members.watching import Watching
from fleet.model.errors import ClusterUnreachable
from fleet.model.objects import ClusterRole
from fleet.model.redaction import EnvValues
from fleet.model.visibility import EVERYTHING, Role
from fleet.ports import Connection
from fleet.registry import FleetOptions, open_federation
from graph.http.persisted import Documents
from graph.http.persisted_manifest import ManifestInvalid, read_manifest
from graph.http.state import GraphState
from graph.limits.limits import Limits
from graph.loading.timeslice import TimeSlices
from graph.subscriptions.hub import LiveOptions, open_hub
from rest_compat.platform import PlatformOptions
from rest_compat.request import RestState
from server.audit_log import AuditLog, open_audit_log
from server.cluster_sources import open_source
from server.collecting import open_collected, open_collecting, open_inbox
from server.metric_file import open_metric_file
from server.metric_store import open_metric_store
from server.process_counts import ProcessCounts, open_process_counts
from server.reach import watch_reach
from server.settings.environment import SettingsInvalid
from server.settings.groups import NO_SIGNING_KEY, GraphSettings, LimitSettings, Settings
from server.settings.oidc import OidcSettings
from server.shared_state import FRESH_SECONDS, open_shared_state
from server.store_watch import StoreWatch

if TYPE_CHECKING:
    from fleet.metrics.embedded.store import EmbeddedStore
    from fleet.replication.replica import Replica
    from server.tracing.exporter import Exporter


class State(RestState, GraphState):
    """What a request finds in `request.state`: what each face declares that it reads."""

    audit: NotRequired[AuditLog | None]
    replica: NotRequired["Replica | None"]
    outputs: NotRequired[Sequence[Buffer]]
    metric_file: NotRequired["EmbeddedStore | None"]
    sources: NotRequired[SeveralSources]
    counts: NotRequired[ProcessCounts]
    spans: NotRequired["Exporter | None"]
    store_watch: NotRequired[StoreWatch | None]


class StateRequest(Request[State]):
    """A request that finds all of it; a class of its own, since FastAPI finds a request parameter by `issubclass`."""


OpenState = Callable[[Settings], AbstractAsyncContextManager[State]]


@asynccontextmanager
async def open_state(settings: Settings, *, writes: bool = True) -> AsyncIterator[State]:
    """Users, metric store, clusters. Raises SettingsInvalid, AuthError, FleetError where they can't be opened.

    Of several processes of one machine only one `writes` the embedded store; the others read it.
    """
    documents = build_documents(settings.graph)
    async with AsyncExitStack() as stack:
        spans = None
        if settings.tracing.traced:
            from server.tracing.tracer import open_tracing

            spans = (await stack.enter_async_context(open_tracing(settings.tracing))).exporter
        settings = stack.enter_context(open_metric_file(settings))
        auth_options = build_auth_options(settings)
        history = await stack.enter_async_context(open_metric_store(settings, writes=writes))
        source = await stack.enter_async_context(open_source(settings))
        replica = await stack.enter_async_context(open_shared_state(settings))
        collected = await stack.enter_async_context(open_collected(settings, history, replica, writes=writes))
        metric_store = collected.serve(history)
        await stack.enter_async_context(open_inbox(collected, replica))
        options = FleetOptions(
            member_timeout=settings.timeouts.member_timeout,
            heartbeat_seconds=settings.timeouts.heartbeat,
            events_kept=settings.clusters.events_kept,
            workloads=settings.clusters.workloads,
            grants_max_age=settings.auth.review_max_age if settings.auth.authorization == "impersonate" else None,
        )
        if replica is not None:
            options = msgspec.structs.replace(options, fresh_seconds=FRESH_SECONDS)
        filler = Watching if replica is None else replica.fill
        federation = await stack.enter_async_context(open_federation(source, options, filler))
        reviewed = build_reviewed_tokens(settings, federation)
        authenticator = await stack.enter_async_context(
            open_authenticator(auth_options, reviewed, federation.list_labels)
        )
        if writes:  # one of several processes says it
            reaching = partial(watch_reach, authenticator, federation)
            await stack.enter_async_context(open_task("reach of users", reaching))
        collecting = open_collecting(settings, federation, collected, replica, writes=writes)
        await stack.enter_async_context(collecting)
        request_timeout, limits = settings.timeouts.request_timeout, build_limits(settings.limits)
        admission = Admission(AdmissionOptions(a_second=settings.traffic.user_rate))
        redact_env = EnvValues(settings.disclosure.redact_env)
        live_options = LiveOptions(
            max_connections_a_user=settings.traffic.user_websockets, stall_seconds=settings.traffic.stall_timeout
        )
        live = await stack.enter_async_context(
            open_hub(
                federation,
                metric_store,
                authenticator,
                request_timeout=request_timeout,
                limits=limits,
                admission=admission,
                options=live_options,
                redact_env=redact_env,
                slow_query=settings.logging.slow_query_seconds,
            )
        )
        store_watch = StoreWatch(federation, metric_store) if writes else None  # one of several processes asks
        if store_watch is not None:
            await stack.enter_async_context(open_task("how the metric store is", store_watch.run))
        counts = await stack.enter_async_context(open_process_counts())
        audit = stack.enter_context(open_audit_log(settings.disclosure))
        yield State(
            audit=audit,
            replica=replica,
            outputs=collected.outputs.buffers,
            metric_file=collected.file,
            sources=source,
            counts=counts,
            spans=spans,
            store_watch=store_watch,
            federation=federation,
            metric_store=metric_store,
            authenticator=authenticator,
            documents=documents,
            request_timeout=request_timeout,
            live=live,
            admission=admission,
            limits=limits,
            compiled=settings.graph.compiled_execution,
            redact_env=redact_env,
            time_slices=TimeSlices(turns=federation.turns),
            platform=PlatformOptions(
                namespace=settings.clusters.platform_namespace,
                join=settings.clusters.join,
            ),
            joining=HostJoining(settings.clusters.platform_namespace, settings.timeouts.member_timeout),
            stopping=Stopping(),
            held_usage=UsageCache(metric_store, federation.pods_of, max_age=settings.metrics.usage_max_age),
        )


def build_limits(settings: LimitSettings) -> Limits:
    return Limits(
        depth=settings.max_depth,
        aliases=settings.max_aliases,
        directives=settings.max_directives,
        tokens=settings.max_tokens,
        characters=settings.max_characters,
        spreads=settings.max_fragment_spreads,
        nested=settings.max_nested_lists,
        body=settings.max_body,
        cost=settings.max_cost,
    )


def build_auth_options(whole: Settings) -> AuthOptions:
    """What the authenticator is opened with. Raises SettingsInvalid without a signing key, IssuerInvalid."""
    settings = whole.auth
    if settings.signing_key is None:
        raise SettingsInvalid([NO_SIGNING_KEY])
    administrator = None
    if settings.user_name is not None and settings.user_password is not None:
        administrator = (settings.user_name, settings.user_password.get_secret_value())
    further = settings.verification_keys.get_secret_value().split() if settings.verification_keys else []
    return AuthOptions(
        signing_key=settings.signing_key.get_secret_value().encode(),
        verification_keys=tuple(key.encode() for key in further),
        token_lifetime=int(settings.token_lifetime),
        users_file=settings.users_file,
        tokens_file=settings.tokens_file,
        administrator=administrator,
        issuers=build_issuers(whole.oidc),
        default_role=Role[whole.oidc.default_role.upper()] if whole.oidc.default_role else None,
        impersonate=settings.authorization == "impersonate",
    )


def build_issuers(settings: OidcSettings) -> tuple[Issuer, ...]:
    """Whose tokens count beside our own. Raises IssuerInvalid."""
    if settings.oidc_file is not None:
        return tuple(
            msgspec.structs.replace(issuer, scope=settings.oidc_scope) for issuer in load_issuers(settings.oidc_file)
        )
    if settings.oidc_issuer is None:
        return ()
    try:
        authority = settings.oidc_ca_file.read_text() if settings.oidc_ca_file else None
    except (OSError, ValueError) as error:
        raise IssuerInvalid(f"OPENMCP_OIDC_CA_FILE is '{settings.oidc_ca_file}', can't be read: {error}") from error
    issuer = Issuer(
        url=settings.oidc_issuer,
        audiences=settings.oidc_audience,
        username_claim=settings.oidc_username_claim,
        username_prefix=settings.oidc_username_prefix,
        groups_claim=settings.oidc_groups_claim or None,
        groups_prefix=settings.oidc_groups_prefix,
        required_claims=tuple(
            (name, value) for name, _, value in (t.partition("=") for t in settings.oidc_required_claims)
        ),
        certificate_authority=authority,
        allow_http=settings.oidc_allow_http,
        scope=settings.oidc_scope,
    )
    check_issuers([issuer])
    return (issuer,)


def build_reviewed_tokens(settings: Settings, federation: Federation) -> ReviewedTokens | None:
    """Tokens by the host's word, where that is switched on."""
    if not settings.auth.token_review:
        return None

    def find_host() -> Connection:
        clusters = federation.list_clusters(EVERYTHING)
        name = next((cluster.name for cluster in clusters if cluster.role is ClusterRole.HOST), None)
        if name is None:
            raise ClusterUnreachable("", "no cluster is the host (yet): OPENMCP_HOST_CONTEXT names it")
        return federation.get_connection(EVERYTHING, name)

    reviewing = TokenReviews(settings.auth.token_review_audiences, settings.timeouts.member_timeout)
    timeout = settings.timeouts.member_timeout
    return ReviewedTokens(reviewing, find_host, kept=settings.auth.token_review_cache, timeout=timeout)


def build_documents(settings: GraphSettings) -> Documents:
    """What finds the text that a request names. Raises SettingsInvalid where trusted documents can't be used."""
    path, trusted = settings.trusted_documents, None
    if path is not None:
        try:
            trusted = read_manifest(path)
        except ManifestInvalid as error:
            raise SettingsInvalid([f"OPENMCP_TRUSTED_DOCUMENTS is {str(path)!r}, which {error}"]) from error
    return Documents(max_bytes=settings.persisted_query_bytes, trusted=trusted)
