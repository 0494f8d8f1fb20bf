"""Asks the same again and again on one connection, until it is ended: `python -m bench.children.keep_asking`.

Takes one line of JSON on its standard input (url, headers, body). A process of its own, so that reading large answers
holds up nobody who measures.
"""

import sys

import orjson
import uvloop

from bench.load import Ask, open_exchange


async def keep_asking(ask: Ask) -> None:
    """For ever. Raises AnswerError."""
    request = ask.wire
    async with open_exchange(ask) as exchange:
        while True:
            await exchange.ask(request)


if __name__ == "__main__":
    given = orjson.loads(sys.stdin.readline())
    uvloop.run(keep_asking(Ask(given["url"], given["headers"], given["body"].encode())))
