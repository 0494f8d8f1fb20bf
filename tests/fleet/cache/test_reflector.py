"""The reflector against an API server of this process, through everything that can end a watch."""

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import pytest

from fleet.aio.tasks import open_task
from fleet.cache.reflector import Reflector, ReflectorOptions
from fleet.cache.store import Store, build_store
from fleet.kubernetes.codec.codec import PODS
from fleet.model import kinds
from fleet.model.errors import ClusterAnswerInvalid, ClusterAnswerTooLarge, ClusterForbidden, ClusterUnreachable
from fleet.model.objects import Pod
from fleet.ports import Answer, Call
from tests.fakes.kubernetes import KINDS, FakeCluster, FakeConnection, build_pod, status_body
from tests.fakes.waiting import until

PATH = PODS.path


class Followed:
    """A reflector at work, and what it said."""

    def __init__(self, cluster: FakeCluster, page_size: int, most_objects: int = 1000) -> None:
        self.cluster = cluster
        self.store: Store[Pod] = build_store(kinds.PODS)
        self.proofs = 0
        self.reflector = Reflector(
            FakeConnection(cluster),
            PODS,
            self.store,
            on_seen=self._prove,
            options=ReflectorOptions(page_size=page_size, answer_timeout=1.0, most_objects=most_objects),
        )

    def _prove(self) -> None:
        self.proofs += 1

    def is_equal(self) -> bool:
        """Whether the store holds the cluster's pods, in their last version."""
        held = {(pod.namespace, pod.name): pod.resource_version for pod in self.store}
        real = self.cluster.objects["Pod"].items()
        return held == {key: item["metadata"]["resourceVersion"] for key, item in real}

    async def until_watching(self) -> None:
        await until(lambda: self.reflector.live and self.cluster.count(PATH, watch=True) > 0, what="watching")


@contextlib.asynccontextmanager
async def open_followed(pods: int = 3, page_size: int = 250) -> AsyncIterator[Followed]:
    cluster = FakeCluster("c1")
    for number in range(pods):
        cluster.put(build_pod("x", f"p{number}"))
    followed = Followed(cluster, page_size)
    async with open_task("reflector", followed.reflector.run):
        await followed.until_watching()
        yield followed


async def test_it_lists_in_pages_and_then_follows() -> None:
    async with open_followed(pods=10, page_size=3) as followed:
        assert followed.is_equal()
        assert followed.cluster.count(PATH) == 4
        followed.cluster.put(build_pod("y", "new"))
        followed.cluster.put(build_pod("x", "p1", app="changed"))
        followed.cluster.delete("Pod", "x", "p2")
        await until(followed.is_equal)
        assert followed.cluster.count(PATH) == 4


async def test_a_cut_watch_goes_on_where_it_was() -> None:
    async with open_followed() as followed:
        followed.cluster.cut_watches()
        followed.cluster.delete("Pod", "x", "p0")
        followed.cluster.put(build_pod("x", "new"))
        await until(followed.is_equal)
        assert followed.cluster.count(PATH) == 1


@pytest.mark.parametrize("how", ["status", "event"])
async def test_an_expired_version_lists_again_and_what_vanished_is_gone(how: str) -> None:
    async with open_followed() as followed:
        followed.cluster.answering.clear()
        followed.cluster.delete("Pod", "x", "p0")
        if how == "status":
            followed.cluster.expire()
            followed.cluster.cut_watches()
        else:
            followed.cluster.expire_watches()
        followed.cluster.answering.set()
        await until(followed.is_equal)
        assert followed.cluster.count(PATH) == 2
        await until(lambda: followed.reflector.live)


async def test_a_list_that_expires_between_its_pages_is_taken_in_one() -> None:
    cluster = FakeCluster("c1")
    for number in range(9):
        cluster.put(build_pod("x", f"p{number}"))
    followed = Followed(cluster, page_size=3)
    cluster.expire_after_page = True
    async with open_task("reflector", followed.reflector.run):
        await followed.until_watching()
    assert followed.is_equal()
    assert [("limit" in query) for path, query in cluster.calls if path == PATH][:3] == [True, True, False]


@pytest.mark.parametrize(
    "garbage", [b"nonsense\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":{"metadata":[]}}\n', b"\xff\xfe\n"]
)
async def test_garbage_on_the_watch_is_survived(garbage: bytes) -> None:
    async with open_followed() as followed:
        followed.cluster.garbage = garbage
        followed.cluster.put(build_pod("x", "meanwhile"))
        await until(lambda: isinstance(followed.reflector.problem, ClusterAnswerInvalid))
        followed.cluster.garbage = None
        await until(lambda: followed.reflector.live and followed.is_equal())


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>", ClusterAnswerInvalid),
        (200, b'{"kind":"NodeList","metadata":{"resourceVersion":"1"},"items":[]}', ClusterAnswerInvalid),
        (500, status_body(500, "etcd is down"), ClusterAnswerInvalid),
        (403, status_body(403, "pods is forbidden"), ClusterForbidden),
    ],
)
async def test_a_wrong_answer_is_a_named_problem_until_it_is_right(
    status: int, body: bytes, error: type[Exception]
) -> None:
    cluster = FakeCluster("c1")
    cluster.put(build_pod("x", "p"))
    cluster.statuses[PATH] = (status, body)
    followed = Followed(cluster, page_size=10)
    async with open_task("reflector", followed.reflector.run):
        await until(lambda: isinstance(followed.reflector.problem, error))
        assert "c1" in str(followed.reflector.problem)
        assert not followed.reflector.live
        del cluster.statuses[PATH]
        await followed.until_watching()
        assert followed.is_equal()


async def test_an_unreachable_member_is_asked_less_and_less_often() -> None:
    async with open_followed() as followed:
        followed.cluster.refusing = True
        followed.cluster.cut_watches()
        await until(lambda: isinstance(followed.reflector.problem, ClusterUnreachable))
        asked = len(followed.cluster.calls)
        await until(lambda: followed.reflector.failures >= 3)
        assert len(followed.cluster.calls) - asked <= 3
        followed.cluster.put(build_pod("x", "meanwhile"))
        followed.cluster.refusing = False
        await until(followed.is_equal)


async def test_bookmarks_move_the_version_and_prove_life() -> None:
    async with open_followed() as followed:
        before = followed.proofs
        followed.cluster.bookmark()
        await until(lambda: followed.proofs > before)
        version = followed.cluster.version - len(KINDS) + 1  # the pods' bookmark is the first
        followed.cluster.cut_watches()
        await until(lambda: followed.cluster.count(PATH, watch=True) == 2)
        assert f"resourceVersion={version}" in followed.cluster.calls[-1][1]


async def test_an_object_that_cannot_be_read_is_left_out_and_the_watch_goes_on() -> None:
    async with open_followed() as followed:
        lists = followed.cluster.count(PATH)
        broken = build_pod("x", "p1")
        broken["spec"]["containers"] = "none"
        followed.cluster.put(build_pod("x", "p1"))
        followed.cluster.put(broken)
        followed.cluster.put(build_pod("x", "last"))
        await until(lambda: followed.store.get("x", "last") is not None)
        assert followed.store.get("x", "p1") is None
        followed.cluster.delete("Pod", "x", "p1")
        await until(followed.is_equal)
        assert followed.reflector.problem is None
        assert followed.cluster.count(PATH) == lists


async def test_a_page_that_is_too_large_is_asked_for_in_halves() -> None:
    cluster = FakeCluster("c1")
    for number in range(8):
        cluster.put(build_pod("x", f"p{number}"))
    followed = Followed(cluster, page_size=8)
    connection = followed.reflector._connection
    asked: list[str] = []

    async def request(call: Call) -> Answer:
        limit = parse_qs(call.query)["limit"][0]
        asked.append(limit)
        if int(limit) > 2:
            raise ClusterAnswerTooLarge("c1", "its answer is larger than it may be")
        return await type(connection).request(connection, call)

    connection.request = request  # type: ignore[method-assign]  # it is a fake, made here
    async with open_task("reflector", followed.reflector.run):
        await until(lambda: followed.reflector.live and followed.is_equal())
    assert asked == ["8", "4", "2", "2", "2", "2"]


async def test_a_list_without_an_end_is_given_up() -> None:
    cluster = FakeCluster("c1")
    for number in range(50):
        cluster.put(build_pod("x", f"p{number}"))
    followed = Followed(cluster, page_size=5, most_objects=20)
    async with open_task("reflector", followed.reflector.run):
        await until(lambda: followed.reflector.problem is not None)
        assert "its list has more than 20 objects" in str(followed.reflector.problem)
        assert (cluster.count(PATH), len(list(followed.store))) == (5, 0)
