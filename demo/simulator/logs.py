"""Container logs: lines that follow from the container and the time, so that none is stored and a log grows by itself.

Source: Kubernetes API, `GET /api/v1/namespaces/{namespace}/pods/{name}/log`.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from msgspec import Struct

from demo.simulator.kinds import PODS
from demo.simulator.naming import build_number
from demo.simulator.status import build_bad_request, build_not_found
from demo.simulator.store import Place, Store

KEPT_LINES = 2_000
"""Lines of a container that are there at once; older ones are rotated away."""

_SHORTEST_MS, _SPREAD_MS = 700, 1_800
_ROUNDING = 1e-6
_PATHS = ("/", "/healthz", "/api/items", "/api/orders", "/api/search", "/static/app.js")
_MESSAGES = ("batch stored", "cache refreshed", "connection opened", "job done", "lease renewed", "queue empty")


class ContainerLog(Struct, frozen=True):
    """A container's lines: one every `period` seconds from `start` to `end`, None while it runs (Unix seconds)."""

    uid: str
    container: str
    web: bool
    start: float
    end: float | None

    @property
    def period(self) -> float:
        """Seconds between two lines."""
        return (_SHORTEST_MS + build_number(self.uid, self.container, below=_SPREAD_MS)) / 1000

    def count(self, now: float) -> int:
        until = now if self.end is None else min(now, self.end)
        return max(0, math.floor((until - self.start + _ROUNDING) / self.period) + 1)

    def time(self, number: int) -> float:
        return self.start + number * self.period

    def line(self, number: int, *, stamped: bool) -> bytes:
        """A line with its end; `stamped` as the kubelet stamps it."""
        text = f"{_stamp(self.time(number))} " if stamped else ""
        dice = build_number(self.uid, self.container, number, below=1 << 30)
        took, word = dice % 90 + 1, dice >> 8
        if self.web:
            status = 200 if dice % 29 else 404
            text += f'10.0.{word % 8}.{word % 250 + 1} "GET {_PATHS[word % len(_PATHS)]} HTTP/1.1" {status} {took}ms'
        else:
            level = "info" if dice % 31 else "warn"
            text += f'level={level} msg="{_MESSAGES[word % len(_MESSAGES)]}" n={number} took={took}ms'
        return text.encode() + b"\n"


class LogPlan(Struct, frozen=True):
    """A log as it was asked for: `first` is the number of its first line, `limit` bytes are sent at most."""

    log: ContainerLog
    first: int
    follow: bool
    stamped: bool
    limit: int | None


def plan_log(store: Store, place: Place, query: Mapping[str, str], now: float) -> LogPlan | None:
    """What is to be sent, None for a pod that has no node yet. Raises ApiError 400 and 404 as the real server does."""
    log = _find_log(store, place, query)
    if log is None:
        return None
    count = log.count(now)
    first = max(0, count - KEPT_LINES)
    tail = _number(query, "tailLines")
    if tail is not None:
        first = max(first, count - tail)
    since = _since(query, now)
    if since is not None:
        first = max(first, math.ceil((since - log.start) / log.period))
    stamped = query.get("timestamps") in ("true", "1")
    return LogPlan(log, first, query.get("follow") in ("true", "1"), stamped, _number(query, "limitBytes"))


async def write_log(
    store: Store,
    place: Place,
    plan: LogPlan,
    ready: Callable[[], Awaitable[None]],
    now: Callable[[], float] = time.time,
) -> AsyncIterator[bytes]:
    """Lines, in pieces, until the log ends or, where it is followed, its container or its pod does.

    `ready` is awaited before each piece, for faults.
    """
    log, number, left = plan.log, plan.first, plan.limit
    while True:
        await ready()
        count = log.count(now())
        piece = b"".join(log.line(one, stamped=plan.stamped) for one in range(number, count))[:left]
        if piece:
            yield piece
        number = max(number, count)
        if left is not None:
            left -= len(piece)
        found = store.get(PODS, place)
        ended = log.end is not None or found is None or _read_uid(found.members()) != log.uid
        if not plan.follow or ended or left == 0:
            return
        await asyncio.sleep(max(0.05, log.time(number) - now()))


def _find_log(store: Store, place: Place, query: Mapping[str, str]) -> ContainerLog | None:
    entry = store.get(PODS, place)
    if entry is None:
        raise build_not_found(PODS, place[1])
    pod = orjson.loads(entry.members())
    name = _pick_container(pod, place[1], query.get("container", ""))
    if not pod["spec"].get("nodeName"):
        return None
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    status: Any = next((one for one in statuses if one["name"] == name), {})
    state = status.get("state", {})
    last = status.get("lastState", {}).get("terminated")
    if query.get("previous") in ("true", "1") and last is None:
        raise build_bad_request(f'previous terminated container "{name}" in pod "{place[1]}" not found')
    ended = last if query.get("previous") in ("true", "1") or "waiting" in state else state.get("terminated")
    if ended is None and "running" not in state:
        reason = state.get("waiting", {}).get("reason", "ContainerCreating")
        raise build_bad_request(f'container "{name}" in pod "{place[1]}" is waiting to start: {reason}')
    times = ended or state["running"]
    labels = pod["metadata"].get("labels") or {}
    end = _read_time(ended["finishedAt"]) if ended else None
    return ContainerLog(pod["metadata"]["uid"], name, labels.get("tier") == "web", _read_time(times["startedAt"]), end)


def _pick_container(pod: Any, pod_name: str, named: str) -> str:
    names = [container["name"] for container in pod["spec"].get("containers") or ()]
    if named and named not in names:
        raise build_bad_request(f"container {named} is not valid for pod {pod_name}")
    if not named and len(names) != 1:
        choice = " ".join(names)
        raise build_bad_request(f"a container name must be specified for pod {pod_name}, choose one of: [{choice}]")
    return named or names[0]


def _since(query: Mapping[str, str], now: float) -> float | None:
    seconds = _number(query, "sinceSeconds")
    if seconds is not None:
        return now - seconds
    text = query.get("sinceTime")
    try:
        return _read_time(text) if text else None
    except ValueError as error:
        raise build_bad_request(f'parsing time "{text}"') from error


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise build_bad_request(f'strconv.ParseInt: parsing "{text[:50]}": invalid syntax')
    return int(text)


def _read_uid(members: bytes) -> Any:
    return orjson.loads(members)["metadata"]["uid"]


def _read_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
