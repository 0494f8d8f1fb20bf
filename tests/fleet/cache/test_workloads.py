"""Workloads of one member: whose pods are whose, whatever comes first."""

import random

from msgspec.structs import replace

from fleet.cache.stores import Stores
from fleet.model.objects import Owner, Pod, PodPhase, Resources
from fleet.model.workloads import Workload
from tests.fakes.records import build_pod_record, build_workload_record

CRON = Owner("batch/v1", "CronJob", "nightly", "uid-CronJob-nightly")
ROLLOUT = Owner("argoproj.io/v1alpha1", "Rollout", "canary", "uid-canary")
NODE = Owner("v1", "Node", "n1", "uid-n1")


def owned(kind: str, name: str, *, api_version: str = "apps/v1") -> Owner:
    return Owner(api_version, kind, name, f"uid-{kind}-{name}")


def pod_of(owner: Owner, name: str, *, app: str = "web", restarts: int = 0, namespace: str = "shop") -> Pod:
    hashed = (("pod-template-hash", owner.name.rpartition("-")[2]),) if owner.kind == "ReplicaSet" else ()
    labels = (("app", app), *hashed)
    return build_pod_record("c1", namespace, name, owner=owner, labels=labels, restarts=restarts)


def show(stores: Stores) -> dict[str, int]:
    """How many pods each workload has."""
    return {f"{each.kind} {each.name}": each.pod_count for each in stores.workloads.all()}


def find(stores: Stores, kind: str, name: str) -> Workload:
    return next(each for each in stores.workloads.all() if (each.kind, each.name) == (kind, name))


CASES: list[tuple[list[Pod | Workload], dict[str, int]]] = [
    ([build_workload_record("c1", "shop", "web")], {"Deployment web": 0}),
    ([build_workload_record("c1", "shop", "web"), pod_of(owned("ReplicaSet", "web-1"), "a")], {"Deployment web": 1}),
    (  # two ReplicaSets in the middle of a rollout
        [
            build_workload_record("c1", "shop", "web"),
            pod_of(owned("ReplicaSet", "web-1"), "a"),
            pod_of(owned("ReplicaSet", "web-2"), "b"),
        ],
        {"Deployment web": 2},
    ),
    ([pod_of(owned("ReplicaSet", "web-1"), "a")], {"ReplicaSet web-1": 1}),
    (  # of the same name, and another's: it would adopt the ReplicaSet if it selected its pods
        [build_workload_record("c1", "shop", "web"), pod_of(owned("ReplicaSet", "web-1"), "a", app="other")],
        {"Deployment web": 0, "ReplicaSet web-1": 1},
    ),
    (
        [build_workload_record("c1", "ops", "web"), pod_of(owned("ReplicaSet", "web-1"), "a")],
        {"Deployment web": 0, "ReplicaSet web-1": 1},
    ),
    (
        [
            build_workload_record("c1", "shop", "nightly", "CronJob", api_version="batch/v1"),
            build_workload_record("c1", "shop", "nightly-1", "Job", api_version="batch/v1", owner=CRON),
            pod_of(owned("Job", "nightly-1", api_version="batch/v1"), "a"),
        ],
        {"CronJob nightly": 1, "Job nightly-1": 1},
    ),
    ([pod_of(owned("Job", "nightly-1", api_version="batch/v1"), "a")], {"Job nightly-1": 1}),
    (  # a kind of the same name of another group
        [
            build_workload_record("c1", "shop", "a", "Job", api_version="batch/v1"),
            pod_of(owned("Job", "a", api_version="batch.volcano.sh/v1alpha1"), "b"),
        ],
        {"Job a": 1},
    ),
    ([pod_of(ROLLOUT, "a"), pod_of(ROLLOUT, "b")], {"Rollout canary": 2}),
    ([pod_of(NODE, "kube-proxy-n1", namespace="kube-system"), build_pod_record("c1", "shop", "alone")], {"Node n1": 1}),
]


def put(stores: Stores, entry: Pod | Workload) -> None:
    if isinstance(entry, Pod):
        stores.pods.put(entry)
    else:
        stores.workloads.part(entry.kind, entry.api_version).put(entry)


def test_pods_are_counted_to_their_topmost_workload_whatever_comes_first() -> None:
    rng = random.Random(7)
    for entries, expected in CASES:
        for _ in range(10):
            stores = Stores()
            for entry in rng.sample(entries, len(entries)):
                put(stores, entry)
                if rng.random() < 0.5:
                    stores.workloads.all()
            assert show(stores) == expected


def test_what_comes_goes_and_changes_at_random_ends_where_it_would_have_begun() -> None:
    """Whatever order events come in, the last state alone decides."""
    rng = random.Random(11)
    every = [entry for entries, _ in CASES for entry in entries]
    for _ in range(60):
        stores, fresh, kept = Stores(), Stores(), dict[tuple[str, ...], Pod | Workload]()
        for _ in range(60):
            entry = rng.choice(every)
            if isinstance(entry, Pod):
                entry = replace(entry, restarts=rng.randrange(3))
            place = (type(entry).__name__, *entry.key)
            if rng.random() < 0.35:
                kept.pop(place, None)
                store = stores.pods if isinstance(entry, Pod) else stores.workloads.part(entry.kind, entry.api_version)
                store.discard(entry)  # type: ignore[arg-type]  # each store is asked for its own
            else:
                kept[place] = entry
                put(stores, entry)
            if rng.random() < 0.3:
                stores.workloads.all()
        for entry in kept.values():
            put(fresh, entry)
        pods = [entry for entry in kept.values() if isinstance(entry, Pod)]
        tops = [stores.marked_workloads.find_of(pod) for pod in pods]  # whatever is not taken in yet
        assert stores.workloads.all() == fresh.workloads.all()
        assert tops == [fresh.workloads.find_of(pod) for pod in pods]


def test_a_workload_sums_up_its_pods() -> None:
    stores, owner = Stores(), owned("StatefulSet", "db")
    amount = Resources(cpu_cores=0.5, memory_bytes=100)
    put(stores, build_workload_record("c1", "shop", "db", "StatefulSet"))
    put(stores, replace(pod_of(owner, "db-0", restarts=2), requests=amount, limits=amount))
    put(stores, replace(pod_of(owner, "db-1", restarts=1), requests=amount, limits=Resources(memory_bytes=300)))
    put(stores, replace(pod_of(owner, "db-2"), phase=PodPhase.FAILED, requests=amount))
    found = find(stores, "StatefulSet", "db")
    assert (found.pod_count, found.restarts) == (3, 3)
    assert (found.requests.cpu_cores, found.requests.memory_bytes, found.requests.pods) == (1.0, 200, None)
    assert (found.limits.cpu_cores, found.limits.memory_bytes) == (None, 400)
    assert [pod.name for pod in stores.workloads.pods_in(found)] == ["db-0", "db-1", "db-2"]
    assert stores.workloads.owners_in(found) == {owner.uid}
    put(stores, build_workload_record("c1", "shop", "db", "StatefulSet", version="2"))
    assert find(stores, "StatefulSet", "db").restarts == 3, "an event of the object itself keeps what its pods say"


def test_what_comes_and_goes_while_nobody_asks_leaves_nothing() -> None:
    stores = Stores()
    for number in range(100):
        job = build_workload_record("c1", "shop", f"job-{number}", "Job", api_version="batch/v1", owner=CRON)
        pod = pod_of(owned("Job", f"job-{number}", api_version="batch/v1"), f"job-{number}-a")
        part = stores.marked_workloads.part("Job", "batch/v1")
        part.put(job)
        stores.pods.put(pod)
        part.discard(job)
        stores.pods.discard(pod)
    assert stores.marked_workloads.marks == 0


def test_many_changes_are_taken_in_piece_by_piece() -> None:
    stores = Stores()
    for number in range(95):
        put(stores, pod_of(owned("StatefulSet", f"db-{number}"), f"db-{number}-0"))
    assert stores.marked_workloads.marks == 95
    assert sum(1 for _ in stores.marked_workloads.settling()) == 10
    assert len(show(stores)) == 95


def test_a_change_that_no_workload_shows_is_no_change_of_workloads() -> None:
    stores = Stores()
    pod = pod_of(owned("ReplicaSet", "web-1"), "a")
    put(stores, pod)
    before = stores.workloads.generation
    put(stores, replace(pod, resource_version="2", pod_ip="10.0.0.9"))
    assert stores.workloads.generation == before


def test_the_ready_pods_of_a_bare_owner_are_counted() -> None:
    stores = Stores()
    put(stores, pod_of(ROLLOUT, "a"))
    put(stores, replace(pod_of(ROLLOUT, "b"), ready_containers=0))
    found = find(stores, "Rollout", "canary")
    assert (found.desired, found.ready, found.rollout, found.uid) == (None, 1, None, ROLLOUT.uid)


def test_a_relist_of_one_kind_leaves_the_others_and_takes_out_what_is_gone() -> None:
    stores = Stores()
    for name in ("a", "b"):
        put(stores, build_workload_record("c1", "shop", name))
        put(stores, build_workload_record("c1", "shop", name, "StatefulSet"))
    put(stores, pod_of(owned("ReplicaSet", "b-1"), "p", app="b"))
    known = find(stores, "Deployment", "a")
    staged = stores.workloads.part("Deployment", "apps/v1").stage()
    staged.add([build_workload_record("c1", "shop", "a"), build_workload_record("c1", "shop", "c")])
    staged.commit()
    assert show(stores) == {
        "Deployment a": 0,
        "StatefulSet a": 0,
        "StatefulSet b": 0,
        "ReplicaSet b-1": 1,
        "Deployment c": 0,
    }
    assert find(stores, "Deployment", "a") is known


def test_an_object_that_can_t_be_read_is_not_there() -> None:
    stores = Stores()
    put(stores, build_workload_record("c1", "shop", "web"))
    stores.workloads.part("StatefulSet", "apps/v1").drop(("shop", "web"))
    assert show(stores) == {"Deployment web": 0}
    stores.workloads.part("Deployment", "apps/v1").drop(("shop", "web"))
    assert show(stores) == {}


def test_no_number_of_restarts_is_more_than_the_graph_can_say() -> None:
    stores = Stores()
    for name in "ab":
        put(stores, pod_of(ROLLOUT, name, restarts=2**31 - 1))
    assert find(stores, "Rollout", "canary").restarts == 2**31 - 1
