"""The same usage for every metric store: an hour of pods, written as each store's own writer does it."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import orjson

from bench.load import fetch
from bench.servers import Running
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Point
from realfleet.usage import Amounts, pod_amounts

POINTS = 60
INTERVAL_SECONDS = 60
_NEWEST_SECONDS = 5
_LIMIT = 512 * 1024**2
_DISK = 100 * 1024**3


async def list_pods(server: Running, cluster: str) -> list[PodKey]:
    """The pods of a cluster, in the order in which the server lists them."""
    query = f'{{ pods(first: 10000, filter: {{clusters: ["{cluster}"]}}) {{ items {{ namespace name }} }} }}'
    items = orjson.loads(await fetch(server.ask_graph(query)))["data"]["pods"]["items"]
    return [PodKey(cluster, item["namespace"], item["name"]) for item in items]


async def list_nodes(server: Running) -> list[NodeKey]:
    """All nodes."""
    answer = await fetch(server.ask_graph("{ nodes(first: 10000) { items { name cluster { name } } } }"))
    return [NodeKey(item["cluster"]["name"], item["name"]) for item in orjson.loads(answer)["data"]["nodes"]["items"]]


def build_lines(pods: Sequence[PodKey]) -> Iterator[str]:
    """Line protocol as the platform's collector writes it, a batch at a time."""
    for moment in _moments(time.time()):
        yield "\n".join(
            f"Pods,cluster={pod.cluster},namespace={pod.namespace},node=n1,pod={pod.name} "
            f"{_amounts(pod.name, moment).as_fields('0.1')} {moment * NANOSECONDS}"
            for pod in pods
        )


def build_node_lines(nodes: Sequence[NodeKey]) -> Iterator[str]:
    """The same of nodes."""
    for moment in _moments(time.time()):
        yield "\n".join(
            f"Nodes,cluster={node.cluster},node={node.name} "
            f"{_amounts(node.name, moment).as_fields('0.1')} {moment * NANOSECONDS}"
            for node in nodes
        )


async def fill_file(
    path: Path,
    pods: Sequence[PodKey],
    nodes: Sequence[NodeKey] = (),
    points: int = POINTS,
    now: Callable[[], float] = time.time,
) -> None:
    """The same, or its newest points alone, in the embedded store's file, beside the server that has it open."""
    # By this clock nothing is old enough to become blocks: that is the server's, where it has the file.
    async with open_embedded_store(EmbeddedOptions(path, clock=lambda: 0)) as store:
        for moment in _moments(now())[-points:]:
            await store.write(
                [(pod, _build_point(pod.name, moment, "n1")) for pod in pods],
                [(node, _build_point(node.name, moment, None)) for node in nodes],
            )


def build_points(pods: Sequence[PodKey]) -> Iterator[tuple[PodKey, Point]]:
    """The same as points."""
    return ((pod, _build_point(pod.name, moment, "n1")) for moment in _moments(time.time()) for pod in pods)


def _moments(now: float) -> list[int]:
    newest = int(now) - _NEWEST_SECONDS
    return [newest - number * INTERVAL_SECONDS for number in reversed(range(POINTS))]


def _amounts(name: str, moment: int) -> Amounts:
    return pod_amounts(name, _LIMIT, _DISK, moment, moment - 86_400)


def _build_point(name: str, moment: int, node: str | None) -> Point:
    return _amounts(name, moment).as_point(moment * NANOSECONDS, node)
