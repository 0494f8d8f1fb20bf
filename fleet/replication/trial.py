"""Whether NATS is as replicas need it: tried by doing once what they do, in a stream that is removed again."""

import asyncio
import contextlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from enum import Enum

from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError
from nats.js.api import DeliverPolicy, Header, StorageType, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError

from fleet.aio.tasks import end_tasks
from fleet.replication.access import AccessInvalid
from fleet.replication.connection import Nats, StateUnavailable, describe, open_nats, translated
from fleet.replication.options import NatsOptions

_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.05
_NOT_THERE = "999999999"  # a sequence that nothing has: what expects it is refused where it may be published
_SCRATCH = "==check"  # no cluster's token


class Reason(Enum):
    """What has to be mended."""

    FILES = "files"
    UNREACHABLE = "unreachable"
    TLS = "TLS"
    CREDENTIALS = "credentials"
    JETSTREAM = "JetStream"
    QUORUM = "quorum"
    RIGHTS = "rights"
    REPLICAS = "replicas"
    ROOM = "room"
    OTHER = "other"


class TrialFailed(StateUnavailable):
    """The message says what NATS said; the reason is what has to be mended."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


_REASONS = {
    10039: Reason.JETSTREAM,  # not enabled for the account
    10076: Reason.JETSTREAM,  # not enabled
    10005: Reason.REPLICAS,  # no suitable peers for placement
    10074: Reason.REPLICAS,  # replicas > 1 not supported in non-clustered mode
    10023: Reason.ROOM,  # insufficient resources
    10028: Reason.ROOM,  # resources exceeded for account
    10047: Reason.ROOM,  # insufficient storage resources
    10077: Reason.ROOM,  # the store failed, as on a full disk
}


async def try_nats(options: NatsOptions) -> str:
    """What is there and what the account may do, in words. Raises TrialFailed."""
    async with open_nats(options) as nats:
        try:
            await asyncio.wait_for(nats.wait_connected(), _CONNECT_SECONDS)
        except TimeoutError:
            raise TrialFailed(str(nats.problem), _reason_of(nats.error, Reason.UNREACHABLE)) from None
        version = nats.client.connected_server_version
        said = f"nats-server {version.major}.{version.minor}.{version.patch}"
        async with _asking(nats, "JetStream"):
            await nats.js.account_info()
        if options.writes:
            await _write(nats, options)
            kept = f", kept by {options.stream_replicas} servers" if options.stream_replicas > 1 else ""
            return f"{said}, streams can be written{kept}"
        count = await _follow(nats, options)
        publishes = await _may_publish(nats, options)
        may = "but its account may publish as well" if publishes else "nothing published"
        return f"{said}, clusters that can be followed: {count}, {may}"


async def _write(nats: Nats, options: NatsOptions) -> None:
    scratch = f"{_SCRATCH}-{secrets.token_hex(4)}"
    name, subjects = f"{options.prefix}-{scratch}", f"{options.prefix}.{scratch}.>"
    config = StreamConfig(
        name=name, subjects=[subjects], num_replicas=options.stream_replicas, storage=StorageType.FILE, max_age=60.0
    )
    async with _asking(nats, "a stream"):
        await nats.js.add_stream(config)
    try:
        async with _asking(nats, "a message"):
            first = {Header.EXPECTED_LAST_SEQUENCE.value: "0"}
            sequence = (await nats.js.publish(subjects[:-1] + "mark", b"x", headers=first)).seq
        await _read(nats, name, subjects)
        async with _asking(nats, "a message's removal"):
            await nats.js.delete_msg(name, sequence)
        async with _asking(nats, "leases"):
            never = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: _NOT_THERE}
            with contextlib.suppress(APIError, NoStreamResponseError):
                await nats.js.publish(f"$KV.{options.prefix}-leases.{scratch}", b"", headers=never)
    finally:
        async with _asking(nats, "a stream's removal"):
            await nats.js.delete_stream(name)


async def _follow(nats: Nats, options: NatsOptions) -> int:
    """How many clusters' streams there are; one of them is read."""
    async with _asking(nats, "streams"):
        asked = json.dumps({"subject": f"{options.prefix}.>"}).encode()
        answer = json.loads((await nats.client.request("$JS.API.STREAM.NAMES", asked, timeout=_ANSWER_SECONDS)).data)
    names = [name for name in answer.get("streams") or () if _SCRATCH not in name]
    if names:
        await _read(nats, names[0], f"{options.prefix}.>")
    return len(names)


async def _read(nats: Nats, stream: str, subjects: str) -> None:
    came = asyncio.Event()

    async def note(_: Msg) -> None:
        came.set()

    async with _asking(nats, "what a stream holds"):
        policy = DeliverPolicy.LAST_PER_SUBJECT
        reading = await nats.js.subscribe(
            subjects, stream=stream, ordered_consumer=True, deliver_policy=policy, cb=note
        )
        try:
            await asyncio.wait_for(came.wait(), _ANSWER_SECONDS)
        finally:
            await reading.unsubscribe()


async def _may_publish(nats: Nats, options: NatsOptions) -> bool:
    """By a subject that no stream has."""
    nats.refused = None
    with translated(nats.name):
        await nats.client.publish(f"{options.prefix}.{_SCRATCH}.mark", b"")
        # A refusal comes before its answer. Not `flush`: its PING can overtake what is published (nats-py 2.16).
        await nats.js.account_info()
    return nats.refused is None


@contextlib.asynccontextmanager
async def _asking(nats: Nats, what: str) -> AsyncIterator[None]:
    """What goes wrong inside, as TrialFailed; what is refused is not waited for, as an answer that will not come."""
    nats.refused = None

    async def watch() -> None:
        while nats.refused is None:  # noqa: ASYNC110 - a refusal is told to nobody
            await asyncio.sleep(_POLL_SECONDS)
        deadline.reschedule(asyncio.get_running_loop().time())

    try:
        async with asyncio.timeout(None) as deadline:
            watching = asyncio.create_task(watch())
            try:
                yield
            finally:
                await end_tasks(watching)
    except (Error, OSError, StateUnavailable) as error:
        if nats.refused is not None:
            raise TrialFailed(f"{nats.name}: {nats.refused}", Reason.RIGHTS) from error
        text = error.description if isinstance(error, APIError) and error.description else describe(error)
        raise TrialFailed(f"{nats.name}: asked for {what}, it says: {text}", _reason_of(error)) from error


def _reason_of(error: Exception | None, of_silence: Reason = Reason.QUORUM) -> Reason:
    match error:
        case AccessInvalid():
            return Reason.FILES
        case ssl.SSLError():
            return Reason.TLS
        case APIError(err_code=int(code)) if code in _REASONS:
            return _REASONS[code]
        case ServiceUnavailableError(err_code=None) | NoRespondersError():
            return Reason.JETSTREAM
        case ServiceUnavailableError() | TimeoutError():
            return of_silence
        case Error() if "authorization violation" in str(error).lower():
            return Reason.CREDENTIALS
        case OSError() | None:
            return Reason.UNREACHABLE
        case _:
            return Reason.OTHER
