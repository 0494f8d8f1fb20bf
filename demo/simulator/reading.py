"""Get and list."""

from collections.abc import Mapping

import orjson

from demo.simulator.kinds import Kind
from demo.simulator.selection import Selection
from demo.simulator.status import (
    build_bad_request,
    build_expired,
    build_not_found,
    build_too_large_version,
)
from demo.simulator.store import Entry, Place, Store
from demo.simulator.tokens import NEWEST, ContinueToken, parse_continue

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def object_bytes(kind: Kind, entry: Entry) -> bytes:
    """One whole object, type members first."""
    return b"{%b,%b" % (kind.type_members, entry.members()[1:])


def get_object(store: Store, kind: Kind, place: Place) -> bytes:
    """One object's bytes. Raises ApiError 404."""
    entry = store.get(kind, place)
    if entry is None:
        raise build_not_found(kind, place[1])
    return object_bytes(kind, entry)


def parse_version(text: str) -> int | None:
    """`resourceVersion` as a number, None where it is left out. Raises ApiError 400."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise build_bad_request(f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def list_objects(store: Store, kind: Kind, selection: Selection, query: Mapping[str, str]) -> bytes:
    """One page of a list. Raises ApiError 400, 410 and 504 as the real server does."""
    version, after = _list_position(store, query)
    limit = _parse_limit(query)
    if query.get("resourceVersion") == "0" and after is None:
        limit = 0  # answered from the watch cache, which knows no pages
    state = store.entries(kind) if version == NEWEST else store.entries_at(kind, version)
    version = store.version if version == NEWEST else version
    places = sorted(place for place in state if after is None or place > after)
    page: list[Entry] = []
    rest = 0
    for index, place in enumerate(places):
        if limit and len(page) == limit:
            rest = len(places) - index
            break
        if selection.matches(state[place]):
            page.append(state[place])
    if rest and not any(selection.matches(state[place]) for place in places[-rest:]):
        rest = 0
    return _list_bytes(kind, selection, page, version, state, places[-rest:] if rest else [])


def _list_bytes(
    kind: Kind, selection: Selection, page: list[Entry], version: int, state: Mapping[Place, Entry], rest: list[Place]
) -> bytes:
    metadata: dict[str, object] = {"continue": ""} if kind.custom else {}
    metadata["resourceVersion"] = str(version)
    if rest:
        metadata["continue"] = ContinueToken(version, page[-1].place).encode()
        if not selection.by_selector:
            metadata["remainingItemCount"] = sum(selection.matches(state[place]) for place in rest)
    head = orjson.dumps(metadata)
    if kind.custom:
        items = b",".join(object_bytes(kind, entry) for entry in page)
        name = f"{kind.kind}List".encode()
        api_version = kind.api_version.encode()
        return b'{"apiVersion":"%b","items":[%b],"kind":"%b","metadata":%b}' % (api_version, items, name, head)
    items = b",".join([entry.members() for entry in page])
    return b'{"kind":"%bList","apiVersion":"%b","metadata":%b,"items":[%b]}' % (
        kind.kind.encode(),
        kind.api_version.encode(),
        head,
        items,
    )


def _parse_limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", "") or "0"
    try:
        return max(int(text), 0)
    except ValueError as error:
        raise build_bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def _list_position(store: Store, query: Mapping[str, str]) -> tuple[int, Place | None]:
    """The state a list is of (or NEWEST), and the place it goes on after."""
    asked = parse_version(query.get("resourceVersion", ""))
    if text := query.get("continue", ""):
        if asked:
            raise build_bad_request("specifying resource version is not allowed when using continue")
        token = parse_continue(text)
        if token.version != NEWEST and token.version < store.compacted:
            fallback = ContinueToken(NEWEST, token.after).encode()
            raise build_expired(_TOO_OLD, token=fallback)
        return token.version, token.after
    if not asked:
        return NEWEST, None
    if asked > store.version:
        raise build_too_large_version(asked, store.version)
    if query.get("resourceVersionMatch") == "Exact":
        if asked < store.compacted:
            raise build_expired(f"The resourceVersion for the provided list is too old: {asked} ({store.compacted})")
        return asked, None
    return NEWEST, None
