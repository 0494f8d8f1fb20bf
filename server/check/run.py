"""Tries a configuration: every cluster, and the metric store; what `openmcp-apiserver check` prints."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from auth.authenticator import NOBODY, open_authenticator
from auth.errors import AuthError
from auth.oidc.calls import load_key_set
from fleet.kubernetes.access_reviews import load_rights
from fleet.kubernetes.codec.wire import WireVersion
from fleet.kubernetes.sources.kubeconfig import LOST
from fleet.kubernetes.sources.several import Listed, SeveralSources
from fleet.metrics.embedded.file import describe_file
from fleet.model.errors import ClusterUnreachable, FleetError
from fleet.model.objects import ClusterRole
from fleet.model.request_info import survives_urls
from fleet.model.rights import Subject
from fleet.model.told import detail_of
from fleet.model.unreadable import UNREADABLE
from fleet.ports import Call, Covering, MemberSource, MemberSpec
from graph.http.persisted_manifest import ManifestInvalid, read_manifest
from graph.schema import schema
from server.cluster_sources import open_source
from server.collecting import check_workers
from server.lifespan import build_auth_options, build_issuers
from server.metric_file import DEFAULT_FILE, find_metric_file
from server.metric_store import open_metric_store
from server.outputs import open_output
from server.reach import find_unmatched
from server.settings.environment import SettingsInvalid
from server.settings.groups import Settings
from server.shared_state import OWN_HISTORY, build_nats_options, keeps_own_history, try_shared_state
from server.tls import open_certificate

SOURCE_SECONDS = 15.0

_NOBODY = Subject("openmcp-apiserver-check", ("openmcp-apiserver-check",))
"""Whom members are asked about where they decide what callers see: whether they can be asked."""


class Row(Struct, frozen=True):
    """One thing that was tried. `is_member` is one of the clusters that may be ill while the configuration is right."""

    what: str
    works: bool
    said: str
    is_member: bool = False


async def run_checks(settings: Settings) -> list[Row]:
    """Tries everything at once; each row says what answered or what to mend."""
    (sources, members), metrics, outputs, state = await asyncio.gather(
        _check_clusters(settings), _check_metrics(settings), _check_outputs(settings), _check_state(settings)
    )
    names = [row.what.partition(" ")[2] for row in members]
    users, metrics = await asyncio.gather(_check_users(settings, names), _check_coverage(settings, metrics, names))
    first = [users, *await _check_issuers(settings), *_check_certificate(settings)]
    return [*first, *sources, *members, metrics, *outputs, *state, *_check_documents(settings)]


def format_rows(rows: list[Row]) -> str:
    width = max(len(row.what) for row in rows)
    return "\n".join(f"{row.what:<{width}}  {'ok ' if row.works else 'ILL'}  {row.said}" for row in rows)


async def _check_users(settings: Settings, clusters: Collection[str]) -> Row:
    try:
        async with open_authenticator(build_auth_options(settings)) as authenticator:
            users = authenticator.list_users()
            nobody = [] if users or settings.oidc.default_role or settings.auth.token_review else [NOBODY]
            said = ["signing key and users can be used", *nobody, *find_unmatched(users, clusters)]
            return Row("users", works=True, said=", but ".join(said))
    except (AuthError, SettingsInvalid) as error:
        return Row("users", works=False, said=detail_of(error))


async def _check_issuers(settings: Settings) -> list[Row]:
    """A row an issuer, which is asked for its keys."""
    try:
        issuers = build_issuers(settings.oidc)
    except AuthError:
        return []  # the row of users says it
    rows = []
    for issuer in issuers:
        try:
            _, keys = await asyncio.to_thread(load_key_set, issuer)
            rows.append(Row(f"issuer {issuer.url}", works=True, said=f"publishes {len(keys)} keys"))
        except AuthError as error:
            rows.append(Row(f"issuer {issuer.url}", works=False, said=str(error)))
    return rows


def _check_documents(settings: Settings) -> list[Row]:
    """A row where trusted documents are set: the file, and each text against the schema."""
    path, what = settings.graph.trusted_documents, "trusted documents"
    if path is None:
        return []
    try:
        texts = read_manifest(path)
    except ManifestInvalid as error:
        return [Row(what, works=False, said=f"{path} {error}")]
    outdated = sorted(name for name, text in texts.items() if schema.find_mistakes(text))
    if outdated:
        return [Row(what, works=False, said=f"not of this schema (any more): {', '.join(outdated[:5])}")]
    return [Row(what, works=True, said=f"{len(texts)} can be asked")]


def _check_certificate(settings: Settings) -> list[Row]:
    """A row where the main port speaks HTTPS."""
    try:
        certificate = open_certificate(settings.http)
    except SettingsInvalid as error:
        return [Row("certificate", works=False, said=detail_of(error))]
    if certificate is None:
        return []
    problem = certificate.problem
    return [
        Row(
            "certificate",
            works=problem is None,
            said=problem or f"counts until {certificate.ends_at:%Y-%m-%d %H:%M} UTC",
        )
    ]


def _check_metric_file(settings: Settings) -> Row:
    """Writes nothing: what `serve` would make is said."""
    what = "metric store embedded"
    file, problem = find_metric_file(settings)
    if problem is not None:
        return Row(what, works=False, said=f"OPENMCP_EMBEDDED_FILE is '{file}', {problem}")
    if file is None:
        return Row(what, works=True, said=f"`serve` makes a temporary file, since {DEFAULT_FILE} can't be written")
    if not file.exists():
        return Row(what, works=True, said=f"`serve` makes the file {file}")
    try:
        metrics = settings.metrics
        return Row(what, works=True, said=describe_file(file, metrics.embedded_max_bytes, metrics.embedded_max_age))
    except FleetError as error:
        return Row(what, works=False, said=detail_of(error))


async def _check_metrics(settings: Settings) -> Row:
    if settings.metrics.metric_store == "embedded":
        row = await asyncio.to_thread(_check_metric_file, settings)
        return replace(row, said=f"{row.said}, but {OWN_HISTORY}") if keeps_own_history(settings) else row
    what = f"metric store {settings.metrics.metric_store}"
    try:
        async with open_metric_store(settings) as store:
            return Row(what, works=True, said=await store.check())
    except (FleetError, OSError) as error:
        return Row(what, works=False, said=detail_of(error))


async def _check_coverage(settings: Settings, metrics: Row, clusters: Collection[str]) -> Row:
    """The row of the metric store, with the clusters that it has nothing of."""
    if not metrics.works or settings.metrics.metric_store != "prometheus":
        return metrics
    try:
        async with open_metric_store(settings) as store:
            said = await store.describe_coverage(clusters) if isinstance(store, Covering) else ""
    except (FleetError, OSError) as error:
        return replace(metrics, works=False, said=detail_of(error))
    return replace(metrics, said=f"{metrics.said}, but {said}") if said else metrics


async def _check_outputs(settings: Settings) -> list[Row]:
    """A row for each store that the collector writes to and nobody reads."""
    metrics = settings.metrics
    rows = []
    for output in metrics.outputs_elsewhere:
        try:
            async with open_output(settings, output) as opened:
                rows.append(Row(f"collect to {output}", works=True, said=detail_of(await opened.check())))
        except (FleetError, OSError) as error:
            rows.append(Row(f"collect to {output}", works=False, said=detail_of(error)))
    if metrics.metric_store != "embedded" and metrics.uses_file:
        row = await asyncio.to_thread(_check_metric_file, settings)
        rows.append(replace(row, what="collect to embedded"))
    try:
        check_workers(settings)
    except SettingsInvalid as error:
        rows.append(Row("newest usage", works=False, said=str(error)))
    return rows


async def _check_state(settings: Settings) -> list[Row]:
    """A row where replicas share one: what NATS is, and what it lets this one do."""
    options = build_nats_options(settings)
    if options is None:
        return []
    try:
        return [Row("shared state", works=True, said=await try_shared_state(options))]
    except FleetError as error:
        return [Row("shared state", works=False, said=detail_of(error))]


async def _check_clusters(settings: Settings) -> tuple[list[Row], list[Row]]:
    """A row a source, and a row a cluster."""
    async with open_source(settings) as source:
        specs = await _load_specs(source)
        timeout = settings.timeouts.member_timeout
        subject = _NOBODY if settings.auth.authorization == "impersonate" else None
        rows = await asyncio.gather(*(_check_cluster(source, spec, timeout, subject) for spec in specs.values()))
        sources = [_check_source(each, specs) for each in source.listed]
    members = [replace(row, is_member=True) for row in rows]
    return sources, sorted(members, key=lambda row: row.what)


async def _load_specs(source: SeveralSources) -> Mapping[str, MemberSpec]:
    """All clusters, as soon as each source is known, or those of the sources that are."""
    specs: Mapping[str, MemberSpec] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(SOURCE_SECONDS):
            async for latest in source.snapshots():
                specs = latest
                if all(each.specs is not None for each in source.listed):
                    break
    return specs


def _check_source(listed: Listed, all_specs: Mapping[str, MemberSpec]) -> Row:
    """One without clusters is ill where no other has any."""
    what = f"clusters by {listed.source}"
    if listed.specs is None:
        return Row(what, works=False, said=f"not known within {SOURCE_SECONDS:g}s; can the host be reached?")
    found = f"{len(listed.specs)} found" if listed.specs else "none found"
    said = [found, *listed.problems, *(f"but {remark}" for remark in listed.remarks)]
    return Row(what, works=bool(all_specs) and not listed.problems, said=", ".join(said))


async def _check_cluster(source: MemberSource, spec: MemberSpec, timeout: float, subject: Subject | None) -> Row:
    """Its row; the caller says what a cluster that does not work means. It has to answer reviews of a subject, too."""
    what = f"{'host' if spec.role is ClusterRole.HOST else 'member'} {spec.name}"
    try:
        if spec.problem is not None:
            raise ClusterUnreachable(spec.name, spec.problem)
        connection = await source.open_connection(spec)
        try:
            answer = await connection.request(Call("GET", "/version", timeout=timeout))
            if subject is not None:
                await load_rights(connection, subject, (), timeout)
        finally:
            await connection.close()
        if answer.status != 200:
            return Row(what, works=False, said=f"answers {answer.status} to /version")
        said = f"Kubernetes {msgspec.json.decode(answer.body, type=WireVersion).git_version}"
    except FleetError as error:
        return Row(what, works=False, said=detail_of(error))
    except UNREADABLE:
        return Row(what, works=False, said="its answer to /version is not that of a Kubernetes API server")
    if spec.other_names:
        said += f", also named {', '.join(spec.other_names)}"
    if not any(map(survives_urls, (spec.name, *spec.other_names))):
        said += f", but kubectl can't be led to it by this name, {LOST}"
    return Row(
        what, works=True, said=f"{said}, but the platform says offline: {spec.offline}" if spec.offline else said
    )
