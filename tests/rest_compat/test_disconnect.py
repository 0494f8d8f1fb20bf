"""The caller's end of a connection, of which two read: who passes its body on, and who watches whether it is there."""

import asyncio

from starlette.types import Message

from rest_compat.disconnect import Caller
from tests.fakes.waiting import until


async def test_a_body_is_left_to_who_passes_it_on_however_late() -> None:
    """A connection to the member is made first, which takes longer than the patience of who watches."""
    messages: asyncio.Queue[Message] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b"{}", "more_body": False})
    caller = Caller(messages.get)
    body = caller.chunks()
    watching = asyncio.create_task(caller.wait_gone())
    await asyncio.sleep(0)
    assert [chunk async for chunk in body] == [b"{}"]
    assert not watching.done()
    messages.put_nowait({"type": "http.disconnect"})
    await until(watching.done)
