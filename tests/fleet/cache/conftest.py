"""A federation over real members, each behind a line that can be made bad."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from fleet.federation import Federation
from fleet.kubernetes.auth.authorizers import bearer
from fleet.kubernetes.auth.tls import TlsMaterial, build_ssl_context
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.objects import ClusterRole
from fleet.ports import Connection, Credential, MemberSpec
from fleet.registry import FleetOptions, open_federation
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from tests.fakes.faults import Faults, open_proxy
from tests.fakes.kubernetes import FakeSource


class RealSource(FakeSource):
    """Real members by the URL each is to be reached at."""

    def __init__(self, urls: Mapping[str, str], members: Mapping[str, Cluster]) -> None:
        super().__init__()
        self._urls = urls
        self._members = members
        self._specs = {name: MemberSpec(name, ClusterRole.MEMBER, Credential(url, url)) for name, url in urls.items()}

    async def open_connection(self, spec: MemberSpec) -> Connection:
        member = self._members[spec.name]
        tls = build_ssl_context(TlsMaterial(ca=member.ca_pem))
        return HttpConnection(spec.name, Target(self._urls[spec.name], tls, bearer(member.token)))


class Lines:
    """The federation, and the line to each of its members."""

    def __init__(self, federation: Federation, faults: Mapping[str, Faults]) -> None:
        self.federation = federation
        self.faults = faults


OpenLines = Callable[[FleetOptions], AbstractAsyncContextManager[Lines]]


@pytest.fixture
def open_lines(real_fleet: Fleet) -> OpenLines:
    @contextlib.asynccontextmanager
    async def open_all(options: FleetOptions) -> AsyncIterator[Lines]:
        async with AsyncExitStack() as stack:
            proxies = {
                member.name: await stack.enter_async_context(open_proxy(member.url)) for member in real_fleet.members
            }
            source = RealSource(
                {name: url for name, (url, _) in proxies.items()},
                {member.name: member for member in real_fleet.members},
            )
            federation = await stack.enter_async_context(open_federation(source, options))
            await federation.wait_synced(30)
            yield Lines(federation, {name: faults for name, (_, faults) in proxies.items()})

    return open_all
