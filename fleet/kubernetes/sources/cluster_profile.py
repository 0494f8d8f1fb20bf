"""The source `clusterprofile`: members are the ClusterProfiles of a hub, which is no member itself."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fleet.aio.detached import Detached
from fleet.aio.tasks import open_task
from fleet.kubernetes.auth.kubeconfig import Access
from fleet.kubernetes.sources.cluster_profile_access import (
    ProfileProblemError,
    Providers,
    find_access,
    load_providers,
)
from fleet.kubernetes.sources.cluster_profile_objects import cluster_profiles
from fleet.kubernetes.sources.host import HostAccess
from fleet.kubernetes.sources.host_source import Described, HostSource
from fleet.model.objects import ClusterRole
from fleet.ports import MemberSpec

logger = logging.getLogger(__name__)

_HUB_NAME = "hub"
_POLL_SECONDS = 2.0


@asynccontextmanager
async def open_cluster_profile_source(
    hub: HostAccess, providers_file: Path, *, namespace: str | None = None, member_timeout: float = 5.0
) -> AsyncIterator[HostSource]:
    """Watches the hub's ClusterProfiles, of one namespace or of all, and reads the file of access providers.

    `member_timeout` bounds each call to the hub and each run of a plugin, in seconds.
    """
    source = ClusterProfileSource(hub, providers_file, namespace, member_timeout)
    await source.read_providers()
    async with (
        open_task("clusterprofile source", source.run),
        open_task("access providers", source.follow_providers),
    ):
        yield source


class ClusterProfileSource(HostSource):
    """The `MemberSource` of a hub. Opened by `open_cluster_profile_source`."""

    one_a_server = True

    def __init__(self, hub: HostAccess, providers_file: Path, namespace: str | None, timeout: float) -> None:
        super().__init__(hub, _HUB_NAME, timeout)
        self._profiles = self.follow(cluster_profiles(namespace))
        self._providers = Providers(providers_file)
        self._reading_providers = Detached()
        self._file_problem: str | None = None

    def problems(self) -> list[str]:
        return [*super().problems(), *([] if self._file_problem is None else [self._file_problem])]

    def describe(self) -> Iterator[Described]:
        for profile in sorted(
            self._profiles.objects.values(), key=lambda profile: (profile.created, profile.namespace, profile.cluster)
        ):
            try:
                way: Access | str = find_access(profile, self._providers)
            except ProfileProblemError as error:
                way = str(error)
            role, offline = ClusterRole.MEMBER, profile.offline
            spec = MemberSpec(profile.cluster, role, None, profile.info, offline=offline, labels=profile.labels)
            yield Described(spec, way, f"ClusterProfile {profile.name}")

    async def follow_providers(self) -> None:
        """Reads the file anew for ever."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self.read_providers()

    async def read_providers(self) -> None:
        """Takes over what the file says. What was known stands while it can't be read: it may be being written."""
        path = self._providers.path
        try:
            found = await self._reading_providers.run(partial(load_providers, path))
        except TimeoutError:
            found = Providers(path, problem=f"the providers file {path} does not answer: is its mount gone?")
        if found.problem is not None and self._complaints.is_due("providers", found.problem):
            logger.error("%s", found.problem)
        self._file_problem = found.problem
        if found != self._providers and (found.problem is None or not self._providers.known):
            self._providers = found
            self.changed()
