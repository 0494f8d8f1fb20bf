"""One request's loaders of objects that members are asked for: owners and events, each batched and asked once.

The rules are those of the legacy routes: every call is authorized as the request that it is.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from strawberry.dataloader import DataLoader

from auth.policy import authorize_request
from auth.principal import Principal
from fleet.federation import Federation
from fleet.model.errors import ClusterNotFound, FleetError, InvalidQuery, NotFound
from fleet.model.kube_objects import Event, KubeObject, ResourceKey, Subject
from fleet.model.request_info import RequestInfo
from fleet.objects.calls import MemberCalls
from fleet.objects.events import load_events

MAX_EVENTS = 1_000
"""Events of one object that an answer has at most, and `DEFAULT_EVENTS` where nothing is said."""

DEFAULT_EVENTS = 20

LIST_ABOVE = 8
"""Owners of one cluster, namespace and kind that are got one by one; more are read with one list."""

MAX_OWNERS = 5_000


class ResourceLoaders:
    """`calls` asks members as this request's user; the others are its loaders. `deadline` is as in `Loaders`."""

    def __init__(self, federation: Federation, principal: Principal, deadline: float) -> None:
        def authorize(cluster: str, request: RequestInfo) -> None:
            authorize_request(principal, cluster, request)

        self.calls = MemberCalls(federation, principal.scope, authorize, deadline)
        self.objects: DataLoader[ResourceKey, KubeObject | None] = DataLoader(load_fn=self._load_objects)
        self.events: DataLoader[Subject, list[Event]] = DataLoader(load_fn=self._load_events)

    async def _load_events(self, subjects: Sequence[Subject]) -> list[list[Event] | BaseException]:
        return [*await load_events(self.calls, subjects)]

    async def _load_objects(self, keys: Sequence[ResourceKey]) -> list[KubeObject | BaseException | None]:
        groups: dict[tuple[str, ...], list[ResourceKey]] = defaultdict(list)
        for key in keys:
            groups[key[:-1]].append(key)
        found: dict[ResourceKey, KubeObject | FleetError | None] = {}
        for part in await asyncio.gather(*map(self._load_group, groups.values())):
            found.update(part)
        return [found[key] for key in keys]

    async def _load_group(self, keys: list[ResourceKey]) -> dict[ResourceKey, KubeObject | FleetError | None]:
        if len(keys) <= LIST_ABOVE:
            return dict(zip(keys, await asyncio.gather(*map(self._get, keys)), strict=True))
        cluster, api_version, kind, namespace, _ = keys[0]
        try:
            listed = await self.calls.list_all(cluster, api_version, kind, namespace, {}, MAX_OWNERS)
        except InvalidQuery:  # more than a list may hold: these few are got after all
            return dict(zip(keys, await asyncio.gather(*map(self._get, keys)), strict=True))
        except FleetError as error:
            return dict.fromkeys(keys, error)
        by_name = {item.name: item for item in listed}
        return {key: by_name.get(key.name) for key in keys}

    async def _get(self, key: ResourceKey) -> KubeObject | FleetError | None:
        try:
            return await self.calls.get(key)
        except FleetError as error:
            return None if isinstance(error, NotFound) and not isinstance(error, ClusterNotFound) else error
