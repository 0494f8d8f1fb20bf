"""What a reflector reads, and what it fills."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeVar

import msgspec

from fleet.cache.rows import StoreKey
from fleet.kubernetes.codec.codec import WatchEvent
from fleet.kubernetes.codec.wire import WireList

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class ReadsKind(Protocol[R]):
    """How a kind is asked for and read: a `Codec`, or tables of any kind. Raises DecodeError only."""

    @property
    def path(self) -> str: ...

    @property
    def accept(self) -> bytes: ...

    @property
    def query(self) -> Mapping[str, str]: ...

    def read_list(self, body: bytes) -> WireList: ...

    def build_records(self, items: Iterable[msgspec.Raw], cluster: str) -> tuple[list[R], tuple[str, ...]]: ...

    def decode_event(self, line: bytes, cluster: str) -> WatchEvent[R]: ...


class Listed(Protocol[R_contra]):
    """A list that is taken in page by page."""

    def add(self, records: Collection[R_contra]) -> None: ...

    def commit(self) -> None: ...


class Target(Protocol[R_contra]):
    """What a reflector keeps up to date: a store, or a ring of events."""

    def stage(self) -> Listed[R_contra]: ...

    def put(self, record: R_contra) -> None: ...

    def discard(self, record: R_contra) -> None: ...

    def drop(self, key: StoreKey) -> None: ...
