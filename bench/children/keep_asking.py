"""Asks what it is given in turn, on one connection, until it is ended: `python -m bench.children.keep_asking`.

Takes one line of JSON on its standard input (url, headers, bodies). A process of its own, so that reading large answers
holds up nobody who measures.
"""

import sys
from itertools import cycle

import orjson
import uvloop

from bench.load import Ask, open_exchange


async def keep_asking(asks: list[Ask]) -> None:
    """For ever. Raises AnswerError."""
    async with open_exchange(asks[0]) as exchange:
        for ask in cycle(asks):
            await exchange.ask(ask.wire)


if __name__ == "__main__":
    given = orjson.loads(sys.stdin.readline())
    uvloop.run(keep_asking([Ask(given["url"], given["headers"], body.encode()) for body in given["bodies"]]))
