"""The store: its indexes, relists and listeners."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.cache.store import Store, build_store
from fleet.model import kinds
from fleet.model.objects import Pod
from tests.fakes.records import build_pod_record

NAMES = st.sampled_from(["a", "b", "c", "d"])
NAMESPACES = st.sampled_from(["x", "y"])
VERSIONS = {"1": None, "2": "n1", "3": "n2"}  # an equal version means an equal object
PODS = st.builds(
    lambda namespace, name, version: build_pod_record("c1", namespace, name, node=VERSIONS[version], version=version),
    NAMESPACES,
    NAMES,
    st.sampled_from([*VERSIONS]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), PODS),
        st.tuples(st.just("discard"), PODS),
        st.tuples(st.just("replace"), st.lists(PODS)),
    )
)


def relist(store: Store[Pod], *pages: list[Pod]) -> None:
    staged = store.stage()
    for page in pages:
        staged.add(page)
    staged.commit()


def apply(store: Store[Pod], model: dict[tuple[str, str], Pod], step: tuple[str, Pod | list[Pod]]) -> None:
    match step:
        case ("put", Pod() as pod):
            store.put(pod)
            model[pod.namespace, pod.name] = pod
        case ("discard", Pod() as pod):
            store.discard(pod)
            model.pop((pod.namespace, pod.name), None)
        case ("replace", list() as pods):
            relist(store, pods)
            model.clear()
            model.update({(pod.namespace, pod.name): pod for pod in pods})


def indexed(store: Store[Pod], index: str) -> dict[str, set[str]]:
    return {value: {f"{p.namespace}/{p.name}" for p in store.select(index, value)} for value in store.values(index)}


@given(STEPS)
def test_indexes_say_what_a_scan_of_all_records_says(steps: list[tuple[str, Pod | list[Pod]]]) -> None:
    store = build_store(kinds.PODS)
    model: dict[tuple[str, str], Pod] = {}
    for step in steps:
        apply(store, model, step)
    by_node: dict[str, set[str]] = {}
    by_namespace: dict[str, set[str]] = {}
    for pod in model.values():
        by_namespace.setdefault(pod.namespace, set()).add(f"{pod.namespace}/{pod.name}")
        if pod.node_name is not None:
            by_node.setdefault(pod.node_name, set()).add(f"{pod.namespace}/{pod.name}")
    assert indexed(store, "node") == by_node
    assert indexed(store, "namespace") == by_namespace
    assert {(pod.namespace, pod.name): pod.node_name for pod in store} == {k: p.node_name for k, p in model.items()}


@given(STEPS)
def test_a_listener_that_follows_the_changes_ends_with_the_same_records(
    steps: list[tuple[str, Pod | list[Pod]]],
) -> None:
    store = build_store(kinds.PODS)
    followed: dict[tuple[str, str], Pod] = {}

    def follow(old: Pod | None, new: Pod | None) -> None:
        if new is not None:
            followed[new.namespace, new.name] = new
        elif old is not None:
            del followed[old.namespace, old.name]

    store.listen(follow)
    for step in steps:
        apply(store, {}, step)
    assert {id(pod) for pod in followed.values()} == {id(pod) for pod in store}


def test_a_relist_keeps_the_objects_that_did_not_change() -> None:
    store = build_store(kinds.PODS)
    first = build_pod_record("c1", "x", "a", version="7")
    store.put(first)
    relist(store, [build_pod_record("c1", "x", "a", version="7")], [build_pod_record("c1", "x", "b")])
    assert store.get("x", "a") is first
    assert len(store) == 2


def test_a_relist_is_unseen_until_it_is_complete() -> None:
    store = build_store(kinds.PODS)
    store.put(build_pod_record("c1", "x", "old"))
    staged = store.stage()
    staged.add([build_pod_record("c1", "x", "new")])
    assert [pod.name for pod in store] == ["old"]
    staged.commit()
    assert [pod.name for pod in store] == ["new"]


def test_a_listener_that_left_hears_nothing() -> None:
    store = build_store(kinds.PODS)
    heard: list[Pod | None] = []
    leave = store.listen(lambda _, new: heard.append(new))
    leave()
    store.put(build_pod_record("c1", "x", "a"))
    assert heard == []


def test_every_change_moves_the_generation() -> None:
    store = build_store(kinds.PODS)
    seen = [store.generation]
    pod = build_pod_record("c1", "x", "a")
    store.put(pod)
    seen.append(store.generation)
    store.discard(pod)
    seen.append(store.generation)
    relist(store)
    seen.append(store.generation)
    assert seen == sorted(set(seen))
