"""The source `kubeconfig`: each context of the given files is a member, named by its context.

Contexts that lead to one server as one user (`oc login` writes one for each namespace) are one member, or its pods
would be counted once a context. It has the name of the host's context, else of the first, whatever is current, and the
others lead to it as well.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from fleet.aio.complaints import Complaints
from fleet.aio.detached import Detached
from fleet.aio.tasks import open_task
from fleet.kubernetes.auth.endpoint import normalise_endpoint
from fleet.kubernetes.auth.kubeconfig import (
    Access,
    Kubeconfig,
    KubeconfigError,
    build_kubeconfig,
    load_access,
    load_files,
)
from fleet.kubernetes.auth.kubeconfig_entries import ClusterEntry, ContextEntry, read_entry
from fleet.kubernetes.connection import HttpConnection
from fleet.kubernetes.sources.access import Reachable, access_fingerprint
from fleet.kubernetes.sources.resolving import Resolver
from fleet.kubernetes.sources.snapshots import Snapshots
from fleet.model.errors import ClusterUnreachable
from fleet.model.objects import ClusterRole, Pairs
from fleet.model.request_info import survives_urls
from fleet.model.told import MISCONFIGURED, Told, tell
from fleet.ports import Connection, MemberSpec

T = TypeVar("T")

logger = logging.getLogger(__name__)

DEFAULT_HOST_CONTEXT = "openmcp"

LOST = (
    "whose empty, '.' and '..' parts are cleaned out of URLs: `kubectl config rename-context`, or a context beside it"
)
"""What is wrong with such a name, and what to do."""

LABELS = "openmcp.k8s.io/labels"
"""The extension under `clusters` whose object are the labels of the cluster."""

_POLL_SECONDS = 2.0


@asynccontextmanager
async def open_kubeconfig_source(
    paths: tuple[Path, ...],
    *,
    contexts: tuple[str, ...] = (),
    host_context: str | None = None,
    member_timeout: float = 5.0,
    poll_seconds: float = _POLL_SECONDS,
) -> AsyncIterator["KubeconfigSource"]:
    """Follows the files: a context added, removed or changed is in the next snapshot within `poll_seconds`.

    Several files are merged as kubectl merges KUBECONFIG. Of their contexts all are members, or those in `contexts`, of
    which one that is in no file is a member with a `problem`. The context named `host_context` (`openmcp` where that is
    None) has the role HOST. A broken context is a member with a `problem`, never a failed start. `member_timeout`
    bounds an exec plugin, in seconds.
    """
    source = KubeconfigSource(paths, contexts, host_context or DEFAULT_HOST_CONTEXT, member_timeout, poll_seconds)
    async with open_task("kubeconfig source", source.run):
        yield source


class KubeconfigSource:
    """The `MemberSource` of kubeconfig files. Opened by `open_kubeconfig_source`."""

    def __init__(
        self, paths: tuple[Path, ...], contexts: tuple[str, ...], host: str, timeout: float, poll_seconds: float
    ) -> None:
        self._paths = paths
        self._contexts = contexts
        self._host = host
        self._poll_seconds = poll_seconds
        self._snapshots = Snapshots()
        self._contents: Mapping[Path, bytes | str] | None = None
        self._config = build_kubeconfig({})
        self._resolver = Resolver(timeout)
        self._known = False
        self._shared: Mapping[str, list[str]] = {}
        self._labels: Mapping[str, Pairs] = {}
        self._lost: set[str] = set()
        self._reading = Detached()
        self._complaints = Complaints()

    def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        return self._snapshots.follow()

    def problems(self) -> list[str]:
        """Which files are not there, where no context is known, and which can't be read."""
        missing = [] if self._config.contexts else [path for path in self._paths if path not in (self._contents or {})]
        return [*(f"{path} is not there" for path in missing), *self._config.problems]

    async def open_connection(self, spec: MemberSpec) -> Connection:
        reachable = self._resolver[f"context {spec.name}"]
        if not isinstance(reachable, Reachable):
            problem = "it is in no kubeconfig any more" if reachable is None else Told(MISCONFIGURED, reachable)
            raise ClusterUnreachable(spec.name, tell("cluster {}: {}", spec.name, problem))
        return HttpConnection(spec.name, reachable.target)

    async def run(self) -> None:
        try:
            while True:
                with suppress(TimeoutError):
                    await self._refresh()
                await asyncio.sleep(self._poll_seconds)
        finally:
            await self._resolver.close()

    async def _read(self, work: Callable[[], T]) -> T:
        """What is read of files. Raises TimeoutError, which is logged once, while one does not answer."""
        try:
            result = await self._reading.run(work)
        except TimeoutError:
            if self._complaints.is_due("files", "hang"):
                files = ", ".join(map(str, self._paths))
                logger.error("what is known stays: a file of %s or one that it names does not answer", files)
            raise
        self._complaints.settle("files")
        return result

    async def _refresh(self) -> None:
        contents = await self._read(partial(load_files, self._paths))
        if contents != self._contents:
            config = await asyncio.to_thread(build_kubeconfig, contents)
            self._log_problems(config)
            self._contents = contents
            # Perhaps a file is being written just now: what is known stands until all can be read.
            if not config.problems or not self._known:
                self._config = config
        contexts = self._contexts or tuple(self._config.contexts)
        found, self._labels = await self._read(partial(_load_accesses, self._config, contexts))
        accesses, shared = _join_names(found, self._host)
        self._log_lost(accesses, shared)
        if shared != self._shared:
            self._shared = shared
            self._log_shared()
        ways = {f"context {name}": access for name, access in accesses.items()}
        await self._resolver.resolve(ways)
        self._known = bool(accesses)
        # One whose plugin still runs is looked at again in `poll_seconds`.
        known = [name for name in accesses if self._resolver[f"context {name}"] is not None]
        await self._snapshots.publish({name: self._spec(name) for name in known})

    def _log_problems(self, config: Kubeconfig) -> None:
        for problem in (*config.problems, *config.nameless):
            logger.error("%s", problem)
        if not config.contexts:
            logger.error("no contexts in the kubeconfig files %s", ", ".join(map(str, self._paths)))

    def _log_lost(self, names: Iterable[str], shared: Mapping[str, list[str]]) -> None:
        lost = {name for name in names if not any(map(survives_urls, (name, *shared.get(name, ()))))}
        for name in sorted(lost - self._lost):
            logger.warning("cluster %r: kubectl can't be led to it by this name, %s", name, LOST)
        self._lost = lost

    def _log_shared(self) -> None:
        for name, others in self._shared.items():
            named = ", ".join(others)
            logger.warning(
                "cluster %s: contexts that lead to it as the same user are other names of it: %s", name, named
            )

    def _spec(self, name: str) -> MemberSpec:
        role = ClusterRole.HOST if name == self._host else ClusterRole.MEMBER
        others = tuple(self._shared.get(name, ()))
        labels = self._labels.get(name, ())
        reachable = self._resolver[f"context {name}"]
        if not isinstance(reachable, Reachable):
            return MemberSpec(name, role, None, problem=reachable, other_names=others, labels=labels)
        return MemberSpec(name, role, reachable.credential, other_names=others, labels=labels)


def _load_accesses(config: Kubeconfig, contexts: tuple[str, ...]) -> tuple[dict[str, Access | str], dict[str, Pairs]]:
    """What each context means, and the labels of those that have any; a text says what is wrong with one."""
    accesses: dict[str, Access | str] = {}
    labels: dict[str, Pairs] = {}
    for name in contexts:
        try:
            labels[name] = _read_labels(config, name)
            accesses[name] = load_access(config, name)
        except KubeconfigError as error:
            accesses[name] = str(error)
    return accesses, labels


def _read_labels(config: Kubeconfig, context: str) -> Pairs:
    """Those of a context's cluster; none of one that can't be read. Raises KubeconfigError."""
    try:
        named = read_entry(config.contexts[context].body, ContextEntry).cluster or ""
        extensions = read_entry(config.clusters[named].body, ClusterEntry).extensions or ()
    except (KeyError, ValueError):  # what is wrong with it is told by the access
        return ()
    body: object = next((each.extension for each in extensions if each is not None and each.name == LABELS), {})
    if not isinstance(body, dict) or not all(isinstance(each, str) for pair in body.items() for each in pair):
        raise KubeconfigError(f"cluster {named}: the extension {LABELS} must be names with texts, as `env: production`")
    return tuple(sorted(body.items()))


def _join_names(
    accesses: Mapping[str, Access | str], host: str
) -> tuple[dict[str, Access | str], dict[str, list[str]]]:
    """One name for each server and user, and the other names of those that have several."""
    joined: dict[str, Access | str] = {}
    shared: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for name in sorted(accesses, key=lambda name: name != host):
        access = accesses[name]
        if not isinstance(access, str):
            same = first.setdefault(_fingerprint_place(access), name)
            if same != name:
                shared.setdefault(same, []).append(name)
                continue
        joined[name] = access
    return joined, shared


def _fingerprint_place(access: Access) -> str:
    """The same for all that lead to one server, however its address is written, as one user."""
    return access_fingerprint(replace(access, endpoint=normalise_endpoint(access.endpoint)))
