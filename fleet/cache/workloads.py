"""One member's workloads: the controllers' objects as they are followed, joined with the pods that they run.

What controls pods and is not followed (a custom kind, a ReplicaSet of its own, a node's static pods) is made of the
pods alone. A change of a pod only marks its owner; what follows from it is found when workloads are read.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from operator import attrgetter

from msgspec.structs import replace

from fleet.aio.turns import Steps
from fleet.cache.rows import StoreKey
from fleet.cache.store import Store
from fleet.model.objects import NO_RESOURCES, Owner, Pod
from fleet.model.sums import sum_resources
from fleet.model.workloads import MOST_RESTARTS, Workload, build_entry, qualify, sum_limits, template_owner

Place = tuple[str, str]
"""A namespace and the UID of the owner of pods in it."""

_CRON_JOB, _DEPLOYMENT = "CronJob.batch", "Deployment.apps"
_ABOVE = ("CronJob", "Deployment")
_AT_ONCE = 10


class WorkloadStore(Store[Workload]):
    """Workloads by namespace and entry; `settling` brings them into step with the pods. Records as in `Workload`."""

    def __init__(self, pods: Store[Pod]) -> None:
        super().__init__(attrgetter("namespace", "entry"), {"namespace": attrgetter("namespace")}, attrgetter("labels"))
        self._pods = pods
        self._marked: defaultdict[str, set[str]] = defaultdict(set)
        """UIDs of owners that changed, by namespace."""
        self._stale: set[str] = set()
        self._workloads: dict[Place, tuple[StoreKey, ...]] = {}
        """Which workloads the pods of an owner are of, the topmost last."""
        self._owners: dict[StoreKey, set[Place]] = {}
        pods.listen(self._note_pod)

    def find_of(self, pod: Pod) -> Workload | None:
        """The topmost workload that a pod is of."""
        if pod.owner is None:
            return None
        self._settle(pod.namespace)
        keys = self._workloads.get((pod.namespace, pod.owner.uid))
        return self.records.get(keys[-1]) if keys else None

    def owners_in(self, workload: Workload) -> frozenset[str]:
        """The UIDs of the owners of a workload's pods."""
        self._settle(workload.namespace)
        return frozenset(uid for _, uid in self._owners.get(self.key_of(workload), ()))

    def pods_in(self, workload: Workload) -> list[Pod]:
        """A workload's pods, in order."""
        self._settle(workload.namespace)
        return self._pods_of(self.key_of(workload))

    def part(self, kind: str, api_version: str) -> "Part":
        """The workloads of one kind, to be followed."""
        return Part(self, qualify(kind, api_version))

    def put(self, record: Workload) -> None:
        """Adds or replaces a followed workload, with what is known of its pods."""
        key = self.key_of(record)
        old = self.records.get(key)
        if old is None or old.uid != record.uid or old.selector != record.selector or not old.resource_version:
            self._mark(record)
        if old is not None and (old.pod_count or not old.resource_version):
            record = replace(
                record, pod_count=old.pod_count, restarts=old.restarts, requests=old.requests, limits=old.limits
            )
        super().put(record)

    def drop(self, key: StoreKey) -> None:
        if (record := self.records.get(key)) is not None:
            self._mark(record)
            super().drop(key)

    @property
    def marks(self) -> int:
        """Owners that have changed, or whose pods have, since the last time that changes were taken in."""
        self._mark_stale()
        return sum(map(len, self._marked.values()))

    def settling(self) -> Steps[None]:
        """Takes in what has changed of owners and their pods."""
        self._mark_stale()
        for namespace, uids in [*self._marked.items()]:
            while uids:
                self._take_in(namespace, [uids.pop() for _ in range(min(_AT_ONCE, len(uids)))])
                yield
            if not self._marked.get(namespace, True):
                del self._marked[namespace]

    def _settle(self, namespace: str) -> None:
        """What is asked of one namespace is in step with its pods, whatever is marked besides."""
        self._mark_stale()
        if (uids := self._marked.pop(namespace, None)) is not None:
            self._take_in(namespace, uids)

    def _mark_stale(self) -> None:
        if self._stale:
            stale, self._stale = self._stale, set()
            for namespace, uid in self._workloads:
                if namespace in stale:
                    self._marked[namespace].add(uid)

    def _take_in(self, namespace: str, uids: Iterable[str]) -> None:
        changed: set[StoreKey] = set()
        for uid in uids:
            changed.update(self._attribute((namespace, uid)))
        for key in changed:
            self._sum_up(key)

    def _note_pod(self, old: Pod | None, new: Pod | None) -> None:
        if (
            old is not None
            and new is not None
            and old.owner is new.owner
            and old.labels is new.labels
            and old.phase is new.phase
            and old.images is new.images
            and old.restarts == new.restarts
            and old.ready_containers == new.ready_containers
            and old.requests == new.requests
            and old.limits == new.limits
        ):
            return
        for pod in (old, new):
            if pod is not None and (owner := pod.owner) is not None:
                self._mark_owner(pod.namespace, owner.uid)

    def _mark_owner(self, namespace: str, uid: str) -> None:
        """One that came and went since the last reader is forgotten: there may be many, and nobody who asks."""
        if self._pods.count("owner", uid) or (namespace, uid) in self._workloads:
            self._marked[namespace].add(uid)
        elif (uids := self._marked.get(namespace)) is not None:
            uids.discard(uid)

    def _mark(self, record: Workload) -> None:
        """A followed workload came, went, or is another: whose pods are whose may be otherwise."""
        if record.kind in _ABOVE:  # which of the namespace's ReplicaSets or Jobs are its own is not known yet
            self._stale.add(record.namespace)
        self._mark_owner(record.namespace, record.uid)
        self._marked[record.namespace].update(uid for _, uid in self._owners.get(self.key_of(record), ()))

    def _attribute(self, place: Place) -> Collection[StoreKey]:
        """Finds the workloads of an owner's pods. Those that they are of now, and those that they were of."""
        namespace, uid = place
        pod = next((pod for pod in self._pods.select("owner", uid) if pod.namespace == namespace), None)
        before = self._workloads.pop(place, ())
        after = () if pod is None or pod.owner is None else self._find_keys(pod, pod.owner)
        if after:
            self._workloads[place] = after
        if before != after:
            for key in before:
                self._owners[key].discard(place)
                if not self._owners[key]:
                    del self._owners[key]
            for key in after:
                self._owners.setdefault(key, set()).add(place)
        return {*before, *after}

    def _find_keys(self, pod: Pod, owner: Owner) -> tuple[StoreKey, ...]:
        own = (pod.namespace, build_entry(owner.name, qualify(owner.kind, owner.api_version)))
        if (name := template_owner(pod)) is not None:
            key = (pod.namespace, build_entry(name, _DEPLOYMENT))
            deployment = self.records.get(key)
            # One that selects the pods' labels adopts a ReplicaSet that has no other controller.
            if deployment is not None and deployment.selector is not None and deployment.selector.matches(pod.labels):
                return (key,)
        followed = self.records.get(own)
        if followed is not None and (above := followed.owner) is not None and above.kind == "CronJob":
            key = (pod.namespace, build_entry(above.name, _CRON_JOB))
            if key in self.records:
                return (own, key)
        return (own,)

    def _pods_of(self, key: StoreKey) -> list[Pod]:
        places = self._owners.get(key, ())
        found = [pod for ns, uid in places for pod in self._pods.select("owner", uid) if pod.namespace == ns]
        return found if len(places) < 2 else sorted(found, key=self._pods.key_of)

    def _sum_up(self, key: StoreKey) -> None:
        record = self.records.get(key)
        pods = self._pods_of(key)
        if record is None or not record.resource_version:
            if not pods:
                if record is not None:
                    super().drop(key)
                return
            record = _build_bare(pods, record)
        alive = [pod for pod in pods if not pod.finished]
        super().put(
            replace(
                record,
                pod_count=len(pods),
                restarts=min(sum([pod.restarts for pod in pods]), MOST_RESTARTS),
                requests=replace(sum_resources([pod.requests for pod in alive]), pods=None) if alive else NO_RESOURCES,
                limits=sum_limits(alive),
            )
        )


class Part:
    """The workloads of one kind, as a reflector keeps them. `kind` is as `qualify` gives it."""

    def __init__(self, store: WorkloadStore, kind: str) -> None:
        self._store = store
        self._kind = kind
        self.put = store.put
        self.discard = store.discard

    def drop(self, key: StoreKey) -> None:
        self._store.drop((key[0], build_entry(key[1], self._kind)))

    def stage(self) -> "StagedPart":
        return StagedPart(self)

    def replace(self, records: Iterable[Workload]) -> None:
        """These are all that there are."""
        known = self._store.records
        listed = {self._store.key_of(record): record for record in records}
        end = build_entry("", self._kind)
        gone = [key for key, old in known.items() if old.resource_version and key[1].endswith(end)]
        for key in gone:
            if key not in listed:
                self._store.drop(key)
        for key, record in listed.items():
            old = known.get(key)
            if old is None or old.uid != record.uid or old.resource_version != record.resource_version:
                self.put(record)


class StagedPart:
    """A relist of one kind in the making."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._records: list[Workload] = []

    def add(self, records: Collection[Workload]) -> None:
        self._records.extend(records)

    def commit(self) -> None:
        self._part.replace(self._records)


def _build_bare(pods: Collection[Pod], known: Workload | None) -> Workload:
    """What the pods of an owner that is not followed say of it."""
    pod = next(iter(pods))
    owner = pod.owner
    assert owner is not None  # noqa: S101 - it is what they were found by
    ready = sum(pod.ready_containers == pod.total_containers and not pod.finished for pod in pods)
    images = tuple(dict.fromkeys(image for pod in pods for image in pod.images))
    if known is not None:
        return replace(known, ready=ready, images=images, uid=owner.uid)
    return Workload(
        cluster=pod.cluster,
        namespace=pod.namespace,
        name=owner.name,
        kind=owner.kind,
        api_version=owner.api_version,
        entry=build_entry(owner.name, qualify(owner.kind, owner.api_version)),
        uid=owner.uid,
        resource_version="",
        images=images,
        ready=ready,
    )
