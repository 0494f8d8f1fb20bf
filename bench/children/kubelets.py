"""Members of nodes whose kubelets tell of usage, over HTTP: canned, so that it costs a collector's time alone.

`python -m bench.children.kubelets MEMBERS NODES PODS` (nodes of a member, pods of a node) writes the path of a
kubeconfig as one line and serves until its input ends. Lists of anything but nodes are empty, and watches are still.
"""

import asyncio
import random
import sys
import tempfile
from functools import partial
from pathlib import Path

import orjson
import yaml

from bench.memory_fleet import EMPTY

_NODE = (
    '{"metadata":{"name":"%s","uid":"%s","resourceVersion":"5","creationTimestamp":"2026-03-01T10:00:00Z"},'
    '"spec":{},"status":{"capacity":{"cpu":"32","memory":"128Gi","pods":"110"},"conditions":[{"type":"Ready",'
    '"status":"True"}],"nodeInfo":{"kubeletVersion":"v1.36.3"}}}'
)
_TIME = "2026-11-30T12:00:00Z"


class Kubelets(asyncio.Protocol):
    """One connection to the API server of a member; requests have no bodies."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers each whole request."""
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            path, _, query = request.split(b" ", 2)[1].decode().partition("?")
            if "watch=" in query:
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                continue
            body = self._answers.get(path, b'{"gitVersion":"v1.36.3"}')
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._transport.writelines((head, body))


def build_answers(member: int, nodes: int, pods: int) -> dict[str, bytes]:
    """What is answered, by path."""
    names = [f"node-{member}-{number:03d}" for number in range(nodes)]
    items = ",".join(_NODE % (name, name) for name in names)
    kinds = {
        path: b'{"kind":"%sList","metadata":{"resourceVersion":"9"},"items":[]}' % of
        for path, of in (EMPTY | {"/api/v1/pods": b"Pod"}).items()
    }
    summaries = {
        f"/api/v1/nodes/{name}/proxy/stats/summary": _build_summary(name, pods, random.Random(name)) for name in names
    }
    listed = {"/api/v1/nodes": f'{{"kind":"NodeList","metadata":{{"resourceVersion":"9"}},"items":[{items}]}}'.encode()}
    return kinds | summaries | listed


def _build_summary(node: str, pods: int, draw: random.Random) -> bytes:
    """As long as a real one: each pod has two containers and two volumes."""
    return orjson.dumps(
        {
            "node": {"nodeName": node, "startTime": _TIME, **_stats(draw), "fs": _fs(draw)},
            "pods": [_build_pod(f"{node}-{number:03d}", draw) for number in range(pods)],
        }
    )


def _build_pod(name: str, draw: random.Random) -> dict[str, object]:
    containers = [
        {"name": each, "startTime": _TIME, **_stats(draw), "rootfs": _fs(draw), "logs": _fs(draw)}
        for each in ("main", "sidecar")
    ]
    volumes = [{"name": each, **_fs(draw)} for each in ("kube-api-access", "data")]
    return {
        "podRef": {"name": f"svc-{name}", "namespace": f"ns-{draw.randrange(20)}", "uid": "0" * 36},
        "startTime": _TIME,
        "containers": containers,
        **_stats(draw),
        "volume": volumes,
        "ephemeral-storage": _fs(draw),
        "process_stats": {"process_count": 3},
    }


def _stats(draw: random.Random) -> dict[str, object]:
    size = draw.randrange(1 << 20, 1 << 32)
    counted = {"rxBytes": size * 7, "rxErrors": 0, "txBytes": size * 3, "txErrors": 0}
    memory = {"availableBytes": 1 << 32, "usageBytes": size + 4096, "workingSetBytes": size, "rssBytes": size // 2}
    return {
        "cpu": {"time": _TIME, "usageNanoCores": draw.randrange(1 << 30), "usageCoreNanoSeconds": size * 999},
        "memory": {"time": _TIME, **memory, "pageFaults": size // 3, "majorPageFaults": 4},
        "network": {"time": _TIME, "name": "eth0", **counted, "interfaces": [{"name": "eth0", **counted}]},
        "swap": {"time": _TIME, "swapUsageBytes": 0},
    }


def _fs(draw: random.Random) -> dict[str, object]:
    used = draw.randrange(1 << 34)
    space = {"availableBytes": (1 << 37) - used, "capacityBytes": 1 << 37, "usedBytes": used}
    return {"time": _TIME, **space, "inodesFree": 6_000_000, "inodes": 6_500_000, "inodesUsed": 400}


async def serve(members: int, nodes: int, pods: int) -> None:
    loop = asyncio.get_running_loop()
    servers = []
    for member in range(members):
        answers = build_answers(member, nodes, pods)
        servers.append(await loop.create_server(partial(Kubelets, answers), "127.0.0.1", 0))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        ports = {f"cluster{number}": server.sockets[0].getsockname()[1] for number, server in enumerate(servers)}
        kubeconfig.write_text(yaml.safe_dump(_build_kubeconfig(ports)))
        print(kubeconfig, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _build_kubeconfig(ports: dict[str, int]) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"http://127.0.0.1:{port}"}} for name, port in ports.items()],
        "users": [{"name": "bench", "user": {"token": "bench"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "bench"}} for name in ports],
    }


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))
