"""Tries the sources of clusters and each cluster: answers, rights, certificates, clocks, tokens, usage."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from fleet.kubernetes.access_reviews import Need, find_lacking, load_rights
from fleet.kubernetes.codec.wire import WireVersion
from fleet.kubernetes.proofs import Proofs, load_proofs
from fleet.kubernetes.sources.kubeconfig import LOST
from fleet.kubernetes.sources.several import Listed, SeveralSources
from fleet.model.errors import ClusterError, ClusterUnauthorized, ClusterUnreachable, FleetError
from fleet.model.objects import ClusterRole
from fleet.model.request_info import survives_urls
from fleet.model.rights import Subject
from fleet.model.told import detail_of
from fleet.model.unreadable import UNREADABLE
from fleet.ports import Call, Connection, MemberSource, MemberSpec
from server.check.mends import find_reach_mend
from server.check.rows import Row
from server.cluster_sources import open_source
from server.rights import NEEDS, Where, wanted
from server.settings.groups import Settings

T = TypeVar("T")

SOURCE_SECONDS = 15.0
NODES = 5
"""Nodes of a cluster that its metric store is asked about."""

_NOBODY = Subject("openmcp-apiserver-check", ("openmcp-apiserver-check",))
"""Whom members are asked about where they decide what callers see: whether they can be asked."""

_METRICS = "/apis/metrics.k8s.io/v1beta1/nodes"


class _Name(Struct):
    name: str


class _Object(Struct):
    metadata: _Name


class _Nodes(Struct):
    items: list[_Object]


class _UserInfo(Struct, frozen=True):
    username: str = ""


class _ReviewStatus(Struct, frozen=True, rename="camel"):
    user_info: _UserInfo = _UserInfo()


class _SelfReview(Struct, frozen=True):
    status: _ReviewStatus = _ReviewStatus()


class Tried(Struct, frozen=True):
    """What one cluster is. Where it does not answer, `problem` says why, and `mend` what may make it answer.

    `doubts` are questions that it did not answer. `ahead` is by how many seconds its clock is ahead of ours, `identity`
    whom it takes this server for, `lacking` what it does not let that one do, `usage` why nobody would measure it,
    `nodes` some of those that it has.
    """

    spec: MemberSpec
    problem: str | None = None
    refused: bool = False
    mend: str = ""
    doubts: Sequence[str] = ()
    said: str = ""
    ahead: float | None = None
    proofs: Proofs = Proofs()
    identity: str = ""
    lacking: Sequence[Need] = ()
    usage: str | None = None
    nodes: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def what(self) -> str:
        return f"{'host' if self.spec.role is ClusterRole.HOST else 'member'} {self.name}"

    @property
    def answers(self) -> bool:
        return self.problem is None


class Clusters(Struct, frozen=True):
    """All of them, by name, and a row a source."""

    sources: Sequence[Row]
    tried: Sequence[Tried]

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        return {each.name: dict(each.spec.labels) for each in self.tried}


async def try_clusters(settings: Settings, on_progress: Callable[[str], None]) -> Clusters:
    """Asks all at once, each for `member_timeout` a question."""
    async with open_source(settings) as source:
        on_progress("asking which clusters there are")
        specs = await _load_specs(source)
        done = 0

        async def try_one(spec: MemberSpec) -> Tried:
            nonlocal done
            tried = await _try_cluster(settings, source, spec)
            done += 1
            on_progress(f"{done} of {len(specs)} clusters tried")
            return tried

        tried = await asyncio.gather(*map(try_one, specs.values()))
        sources = [_build_source_row(each, specs) for each in source.listed]
    return Clusters(sources, sorted(tried, key=lambda each: each.what))


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


def _build_source_row(listed: Listed, all_specs: Mapping[str, MemberSpec]) -> Row:
    """One without clusters is ill where no other has any."""
    what = f"clusters by {listed.source}"
    if listed.specs is None:
        return Row(what, "ill", f"not known within {SOURCE_SECONDS:g}s; can the host be reached?")
    found = f"{len(listed.specs)} found" if listed.specs else "none found"
    said = ", ".join([found, *listed.problems, *(f"but {remark}" for remark in listed.remarks)])
    return Row(what, "ok" if all_specs and not listed.problems else "ill", said)


async def _try_cluster(settings: Settings, source: MemberSource, spec: MemberSpec) -> Tried:
    timeout = settings.timeouts.member_timeout
    try:
        if spec.problem is not None:
            raise ClusterUnreachable(spec.name, spec.problem)
        connection = await source.open_connection(spec)
        try:
            return await _ask(settings, connection, spec, timeout)
        finally:
            await connection.close()
    except FleetError as error:
        refused = isinstance(error, ClusterUnauthorized)
        return Tried(spec, detail_of(error), refused=refused, mend=find_reach_mend(settings, spec, error))
    except UNREADABLE:
        return Tried(spec, "its answer to /version is not that of a Kubernetes API server")


async def _ask(settings: Settings, connection: Connection, spec: MemberSpec, timeout: float) -> Tried:
    asked_at = time.time()
    answer = await connection.request(Call("GET", "/version", timeout=timeout))
    if answer.status != 200:
        return Tried(spec, f"answers {answer.status} to /version", refused=answer.status == 401)
    ahead = _read_ahead(answer.headers.get("date", ""), asked_at, time.time())
    said = f"Kubernetes {msgspec.json.decode(answer.body, type=WireVersion).git_version}"
    # Who decides by members' own rights has to be answered reviews of others.
    if settings.auth.authorization == "impersonate":
        await load_rights(connection, _NOBODY, (), timeout)
    doubts: list[str] = []

    async def further(question: Awaitable[T], default: T) -> T:
        try:
            return await question
        except ClusterError as error:
            doubts.append(detail_of(error))
            return default

    proofs, identity, lacking, nodes = await asyncio.gather(
        further(load_proofs(connection, timeout), Proofs()),
        further(_load_identity(connection, timeout), ""),
        further(find_lacking(connection, _list_needs(settings, spec), timeout), []),
        further(_list_nodes(connection, timeout), []),
    )
    usage = await _find_usage_problem(connection, nodes, timeout) if NEEDS["collector"](settings) else None
    return Tried(
        spec,
        doubts=doubts,
        said=said,
        ahead=ahead,
        proofs=proofs,
        identity=identity,
        # Kubelets that answer are as good.
        lacking=[need for need in lacking if need.group != "metrics.k8s.io" or usage],
        usage=usage,
        nodes=nodes,
    )


def places_of(spec: MemberSpec) -> list[Where]:
    """The tables of rights that hold for a cluster: a host is a member too."""
    return ["host", "member"] if spec.role is ClusterRole.HOST else ["member"]


def _list_needs(settings: Settings, spec: MemberSpec) -> set[Need]:
    return {
        Need(right.group, right.resource, verb, right.namespace, name)
        for where in places_of(spec)
        for right in wanted(settings, where)
        for verb in right.verbs
        for name in right.names or ("",)
    }


def _read_ahead(date: str, asked_at: float, answered_at: float) -> float | None:
    """The least by which a clock that gave this Date (RFC 9110, section 6.6.1) is ahead; it has whole seconds."""
    try:
        theirs = parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return min(0.0, theirs + 1 - asked_at) or max(0.0, theirs - answered_at)


async def _load_identity(connection: Connection, timeout: float) -> str:
    """Empty where that can't be asked: Kubernetes can since 1.28."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    headers = [(b"content-type", b"application/json")]
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = await connection.request(Call("POST", path, timeout, headers=headers, body=msgspec.json.encode(body)))
    with suppress(*UNREADABLE):
        return msgspec.json.decode(answer.body, type=_SelfReview).status.user_info.username
    return ""


async def _list_nodes(connection: Connection, timeout: float) -> list[str]:
    answer = await connection.request(Call("GET", "/api/v1/nodes", timeout, query=f"limit={NODES}"))
    with suppress(*UNREADABLE):
        return [node.metadata.name for node in msgspec.json.decode(answer.body, type=_Nodes).items]
    return []  # refused: the row of rights says so


async def _find_usage_problem(connection: Connection, nodes: Sequence[str], timeout: float) -> str | None:
    """Why neither a kubelet nor metrics.k8s.io tells usage; None where one does."""
    said = []
    for path in [*(f"/api/v1/nodes/{quote(node, safe='')}/proxy/stats/summary" for node in nodes[:1]), _METRICS]:
        try:
            status = (await connection.request(Call("GET", path, timeout))).status
        except ClusterError as error:
            said.append(detail_of(error))
            continue
        if status == 200:
            return None
        said.append(f"{path} is answered with {status}")
    return " and ".join(said)


def describe_reach(tried: Tried) -> str:
    """What is said of a cluster that answers."""
    spec = tried.spec
    said = tried.said
    if spec.other_names:
        said += f", also named {', '.join(spec.other_names)}"
    if not any(map(survives_urls, (spec.name, *spec.other_names))):
        said += f", but kubectl can't be led to it by this name, {LOST}"
    return f"{said}, but the platform says offline: {spec.offline}" if spec.offline else said
