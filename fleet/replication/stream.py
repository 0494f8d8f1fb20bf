"""The stream of one member as its writer knows it: made where there is none, looked at, and cleared of what is old."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence

import msgspec
from msgspec import Struct
from nats.errors import Error
from nats.js.api import ConsumerConfig, DeliverPolicy, DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from fleet.aio.complaints import Complaints
from fleet.replication.connection import Nats, translated
from fleet.replication.marks import Mark, decode_mark
from fleet.replication.options import NatsOptions
from fleet.replication.subjects import Subjects

_SIZE = "Nats-Msg-Size"

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 2.0
_MAKE_SECONDS = 5.0
_READ_MESSAGES = 10_000_000
_BEGINS_ANYWHERE = (2, 10)  # from this version on a purge of an empty stream sets where it begins
_UNAVAILABLE = 503


class StreamState(Struct, frozen=True):
    """Its newest sequence, and how many messages are left of all."""

    last_sequence: int
    messages: int


class Stream:
    """Raises StateUnavailable where the server does not do what it is asked."""

    def __init__(self, nats: Nats, subjects: Subjects, options: NatsOptions) -> None:
        self.name = subjects.stream
        self._nats = nats
        self._subjects = subjects
        self._options = options
        self._complaints = Complaints()

    async def open(self) -> StreamState:
        """How it is by now; it is made where there is none."""
        with translated(self.name):
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    info = await self._nats.js.stream_info(self.name)
                if info.config.num_replicas != self._options.stream_replicas:
                    await self._update()
            except NotFoundError:
                async with asyncio.timeout(_MAKE_SECONDS):
                    info = await self._nats.js.add_stream(self._config)
                    if not info.state.last_seq and _version_of(self._nats) >= _BEGINS_ANYWHERE:
                        # No sequence of a former stream comes again: who expects one writes nothing.
                        await self._nats.js.purge_stream(self.name, seq=time.time_ns() // 1_000)
                        info = await self._nats.js.stream_info(self.name)
        return StreamState(info.state.last_seq, info.state.messages)

    async def _update(self) -> None:
        """Lets it have the copies that are set now; it goes on as it is where there are no servers for them."""
        try:
            async with asyncio.timeout(_MAKE_SECONDS):
                await self._nats.js.update_stream(self._config)
        except APIError as error:
            if self._complaints.is_due("copies", None):
                logger.warning(
                    "%s is kept by other than %d servers: %s", self.name, self._options.stream_replicas, error
                )

    async def find_mark(self) -> Mark | None:
        """The last one, by whoever claimed it; None where nobody has. Raises RecordUnreadable."""
        with translated(self.name):
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    found = await self._nats.js.get_last_msg(self.name, self._subjects.mark)
            except NotFoundError:
                return None
        return decode_mark(found.data or b"")

    async def delete(self, sequences: Sequence[int]) -> None:
        """Takes messages out, if they are there. No sequence changes by that, and who follows hears nothing."""
        with translated(self.name):
            async with asyncio.timeout(_MAKE_SECONDS):
                await asyncio.gather(*map(self._delete, sequences))

    async def _delete(self, sequence: int) -> None:
        # Not `delete_msg`, which has what is deleted overwritten: that takes a server a hundred times as long.
        body = msgspec.json.encode({"seq": sequence, "no_erase": True})
        subject = f"$JS.API.STREAM.MSG.DELETE.{self.name}"
        answer = await self._nats.client.request(subject, body, timeout=_MAKE_SECONDS)
        error = msgspec.json.decode(answer.data).get("error")
        if error is not None and error["code"] == _UNAVAILABLE:
            raise OSError(error["description"])

    async def read_subjects(self, last: int) -> AsyncIterator[tuple[str, int, bool]]:
        """The messages up to a sequence that something is behind: subject, sequence, and whether it is a tombstone."""
        with translated(self.name):
            subscription = await self._nats.js.subscribe(
                self._subjects.all,
                stream=self.name,
                ordered_consumer=True,
                config=ConsumerConfig(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT, headers_only=True),
                pending_msgs_limit=_READ_MESSAGES,
                pending_bytes_limit=-1,
            )
            try:
                while True:
                    message = await subscription.next_msg(_ANSWER_SECONDS)
                    sequence = message.metadata.sequence.stream
                    if sequence > last:
                        return
                    yield message.subject, sequence, (message.headers or {}).get(_SIZE) == "0"
            finally:
                with contextlib.suppress(Error, OSError):
                    await subscription.unsubscribe()

    @property
    def _config(self) -> StreamConfig:
        return StreamConfig(
            name=self.name,
            subjects=[self._subjects.all],
            max_msgs_per_subject=1,
            num_replicas=self._options.stream_replicas,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            allow_direct=True,
        )


def _version_of(nats: Nats) -> tuple[int, int]:
    version = nats.client.connected_server_version
    return version.major, version.minor
