"""What an operator reads of the shared state: how each member's stream is, here."""

from msgspec import Struct


class MemberFigures(Struct, frozen=True, kw_only=True):
    """Of one member in this process; counts are since it took up its role.

    `last_sequence` is the newest message of the stream that was written or applied here, `lag_seconds` how long that
    took from the writer to a follower, `pending` what a writer has not published yet. `lists` are those that the
    member was asked for, `snapshots` how often the stream was read from its beginning. `refused` is what the server did
    not take because another replica writes.
    """

    cluster: str
    writes: bool
    last_sequence: int = 0
    lag_seconds: float | None = None
    pending: int = 0
    published: int = 0
    published_bytes: int = 0
    refused: int = 0
    lists: int = 0
    received: int = 0
    received_bytes: int = 0
    snapshots: int = 0
