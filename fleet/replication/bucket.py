"""The bucket of leases: keys that the server forgets unless they are renewed, written only where as expected."""

import contextlib
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DeliverPolicy, Header, KeyValueConfig
from nats.js.errors import APIError, NotFoundError

from fleet.replication.connection import Nats, StateUnavailable, translated
from fleet.replication.options import NatsOptions

_WRONG_LAST_SEQUENCE = (10071, 10164)
_MARKER = {"KV-Operation": "DEL"}


class Refused(Exception):
    """Another revision is there than was expected."""


class Bucket:
    """A key-value bucket of JetStream. `seconds` after it was written last a key is forgotten.

    Raises StateUnavailable.
    """

    def __init__(self, nats: Nats, options: NatsOptions) -> None:
        self.name = f"{options.prefix}-leases"
        self.seconds = options.lease_seconds
        self._nats = nats
        self._options = options
        self._stream = f"KV_{self.name}"
        self._subjects = f"$KV.{self.name}."

    async def open(self) -> None:
        """Makes it where it is not there.

        Replicas of another setting live beside this one: what the bucket was made with counts for all.
        """
        js, seconds, replicas = self._nats.js, self._options.lease_seconds, self._options.stream_replicas
        with translated(f"the bucket {self.name}"):
            try:
                info = await js.stream_info(self._stream)
            except NotFoundError:
                await js.create_key_value(KeyValueConfig(self.name, ttl=seconds, replicas=replicas, direct=False))
                info = await js.stream_info(self._stream)
        self.seconds = info.config.max_age or self._options.lease_seconds

    async def subscribe(self, note: Callable[[str, bytes, int], None]) -> JetStreamContext.PushSubscription:
        """Calls with each key, its value (empty where it was removed) and revision: all that are there, and changes."""

        async def hear(message: Msg) -> None:
            note(message.subject[len(self._subjects) :], message.data, message.metadata.sequence.stream)

        with translated(f"the bucket {self.name}"):
            return await self._nats.js.subscribe(
                self._subjects + ">",
                stream=self._stream,
                ordered_consumer=True,
                deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
                cb=hear,
            )

    async def get(self, key: str) -> tuple[bytes, int]:
        """The value (empty for none) and its revision, by the server that decides."""
        with translated(f"{key} of the bucket {self.name}"):
            try:
                found = await self._nats.js.get_last_msg(self._stream, self._subjects + key)
            except NotFoundError:
                return b"", 0
        return found.data or b"", found.seq or 0

    async def put(self, key: str, value: bytes, last: int | None = None) -> int:
        """The new revision. Raises Refused where the last one is not as expected (0: there is none)."""
        return await self._publish(key, value, {}, last)

    async def remove(self, key: str, last: int | None = None) -> None:
        """What can't be removed now is forgotten later."""
        with contextlib.suppress(StateUnavailable, Refused):
            await self._publish(key, b"", _MARKER, last)

    async def _publish(self, key: str, value: bytes, headers: dict[str, str], last: int | None) -> int:
        if last is not None:
            headers = {**headers, Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(last)}
        with translated(f"{key} of the bucket {self.name}"):
            try:
                acked = await self._nats.js.publish(
                    self._subjects + key, value, timeout=self.seconds / 6, headers=headers or None
                )
            except APIError as error:
                if error.err_code in _WRONG_LAST_SEQUENCE:
                    raise Refused from error
                raise
        return acked.seq
