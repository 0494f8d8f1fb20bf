"""Watch."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping

import orjson
from msgspec import Struct

from demo.simulator.kinds import PODS, Kind
from demo.simulator.reading import object_bytes, parse_version
from demo.simulator.selection import Selection
from demo.simulator.status import ApiError, build_bad_request, build_expired
from demo.simulator.store import Change, Entry, Store

_DEFAULT_SECONDS = 2_700.0


class WatchPlan(Struct, frozen=True):
    """A watch as it was asked for. `since` None begins with what is there now."""

    since: int | None
    initial: bool
    bookmarks: bool
    seconds: float


def parse_watch(query: Mapping[str, str]) -> WatchPlan:
    """Reads a watch's parameters. Raises ApiError 400, and 500 for a version that is no number."""
    try:
        version = parse_version(query.get("resourceVersion", ""))
    except ApiError as error:
        raise ApiError(500, "", str(error)) from error  # the real server finds out late, and takes it for its own fault
    initial = query.get("sendInitialEvents") == "true"
    text = query.get("timeoutSeconds", "") or "0"
    if not text.isascii() or not text.isdigit():
        raise build_bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    since = None if initial or not version else version
    bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
    return WatchPlan(since, initial, bookmarks, float(text) or _DEFAULT_SECONDS)


async def watch_objects(
    store: Store, kind: Kind, selection: Selection, plan: WatchPlan, bookmark_seconds: float
) -> AsyncIterator[bytes]:
    """Yields a watch's lines until its time is up. A version that is no longer kept is an ERROR line and the end."""
    ends = time.monotonic() + plan.seconds
    every = bookmark_seconds if plan.bookmarks else plan.seconds
    version = store.version if plan.since is None else plan.since
    if plan.since is None:
        for line in _initial_lines(store, kind, selection, plan):
            yield line
    bookmark_at = time.monotonic() + every
    while True:
        if version < store.compacted:
            yield _error_line(build_expired(f"too old resource version: {version} ({store.compacted})"))
            return
        for change in store.changes_after(version):
            version = change.version
            event = _change_line(kind, selection, change)
            if event is not None:
                yield event
        now = time.monotonic()
        if plan.bookmarks and now >= min(bookmark_at, ends):
            yield _bookmark_line(kind, version)
            bookmark_at = now + every
        if now >= ends:
            return
        await store.wait_change(version, min(ends, bookmark_at) - now)


def _initial_lines(store: Store, kind: Kind, selection: Selection, plan: WatchPlan) -> Iterator[bytes]:
    """What is there now, and with sendInitialEvents the bookmark that ends it."""
    version, state = store.version, dict(store.entries(kind))
    for place in sorted(state):
        if selection.matches(state[place]):
            yield _event_line("ADDED", kind, state[place])
    if plan.initial and plan.bookmarks:
        yield _bookmark_line(kind, version, initial_end=True)


def _change_line(kind: Kind, selection: Selection, change: Change) -> bytes | None:
    """The event a change is to this watch: entering the selection is ADDED, leaving it is DELETED."""
    if change.kind is not kind:
        return None
    before = change.old is not None and selection.matches(change.old)
    after = change.new is not None and selection.matches(change.new)
    if after:
        return _event_line("MODIFIED" if before else "ADDED", kind, change.last)
    return _event_line("DELETED", kind, change.last) if before else None


def _event_line(event: str, kind: Kind, entry: Entry) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (event.encode(), object_bytes(kind, entry))


def _bookmark_line(kind: Kind, version: int, *, initial_end: bool = False) -> bytes:
    metadata: dict[str, object] = {"resourceVersion": str(version)}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    rest = b',"spec":{"containers":null},"status":{}' if kind is PODS else b""
    shown = b"{%b,%b%b}" % (kind.type_members, b'"metadata":' + orjson.dumps(metadata), rest)
    return b'{"type":"BOOKMARK","object":%b}\n' % shown


def _error_line(error: ApiError) -> bytes:
    return b'{"type":"ERROR","object":%b}\n' % orjson.dumps(error.as_status())
