"""Tries a configuration: every cluster, and the metric store; what `openmcp-apiserver check` prints."""

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from auth.authenticator import open_authenticator
from auth.errors import AuthError
from fleet.kubernetes.codec.wire import WireVersion
from fleet.model.errors import ClusterUnreachable, FleetError
from fleet.model.objects import ClusterRole
from fleet.ports import Call, MemberSource, MemberSpec
from graph.http.persisted_manifest import ManifestInvalid, read_manifest
from graph.schema import schema
from server.lifespan import build_auth_options, open_metric_store, open_source
from server.settings.environment import SettingsInvalid
from server.settings.groups import Settings

SOURCE_SECONDS = 15.0


class Row(Struct, frozen=True):
    """One thing that was tried."""

    what: str
    works: bool
    said: str


async def run_checks(settings: Settings) -> list[Row]:
    """Tries everything at once; each row says what answered or what to mend."""
    users, clusters, metrics = await asyncio.gather(
        _check_users(settings), _check_clusters(settings), _check_metrics(settings)
    )
    return [users, *clusters, metrics, *_check_documents(settings)]


def format_rows(rows: list[Row]) -> str:
    width = max(len(row.what) for row in rows)
    return "\n".join(f"{row.what:<{width}}  {'ok ' if row.works else 'ILL'}  {row.said}" for row in rows)


async def _check_users(settings: Settings) -> Row:
    try:
        async with open_authenticator(build_auth_options(settings.auth)):
            return Row("users", works=True, said="signing key and users can be used")
    except (AuthError, SettingsInvalid) as error:
        return Row("users", works=False, said=str(error))


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


async def _check_metrics(settings: Settings) -> Row:
    what = f"metric store {settings.metrics.metric_store}"
    try:
        async with open_metric_store(settings) as store:
            return Row(what, works=True, said=await store.check())
    except (FleetError, OSError) as error:
        return Row(what, works=False, said=str(error))


async def _check_clusters(settings: Settings) -> list[Row]:
    source_name = f"clusters by {settings.clusters.cluster_source}"
    try:
        async with asyncio.timeout(SOURCE_SECONDS), open_source(settings) as source:
            specs = await _load_specs(source)
            timeout = settings.timeouts.member_timeout
            rows = await asyncio.gather(*(_check_cluster(source, spec, timeout) for spec in specs.values()))
    except FleetError as error:
        return [Row(source_name, works=False, said=str(error))]
    except TimeoutError:
        return [Row(source_name, works=False, said=f"not known within {SOURCE_SECONDS:g}s; can the host be reached?")]
    found = Row(source_name, works=bool(specs), said=f"{len(specs)} found")
    return [found, *sorted(rows, key=lambda row: row.what)]


async def _load_specs(source: MemberSource) -> Mapping[str, MemberSpec]:
    async for specs in source.snapshots():
        return specs
    return {}


async def _check_cluster(source: MemberSource, spec: MemberSpec, timeout: float) -> Row:
    what = f"{'host' if spec.role is ClusterRole.HOST else 'member'} {spec.name}"
    try:
        if spec.problem is not None:
            raise ClusterUnreachable(spec.name, spec.problem)
        connection = await source.open_connection(spec)
        try:
            answer = await connection.request(Call("GET", "/version", timeout=timeout))
        finally:
            await connection.close()
        if answer.status != 200:
            return Row(what, works=False, said=f"answers {answer.status} to /version")
        said = f"Kubernetes {msgspec.json.decode(answer.body, type=WireVersion).git_version}"
    except FleetError as error:
        return Row(what, works=False, said=str(error))
    except msgspec.DecodeError:
        return Row(what, works=False, said="its answer to /version is not that of a Kubernetes API server")
    return Row(
        what, works=True, said=f"{said}, but the platform says offline: {spec.offline}" if spec.offline else said
    )
