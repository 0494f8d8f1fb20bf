"""InfluxQL over HTTP, `/query` of a 1.x or of a 2.x for 1.x clients: asked, refusals named, answers decoded.

Source: the HTTP API of InfluxDB 1.6, `/query`. Errors, missing databases, timeouts and limits arrive inside a 200.
"""

import json
import logging
import re
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from fleet.aio.recorder import note_rows
from fleet.metrics.influx.layout import Query
from fleet.metrics.influx.options import InfluxOptions
from fleet.metrics.influx.pool import InfluxAnswer
from fleet.metrics.influx.rows import InfluxSeries
from fleet.metrics.pool import Call
from fleet.model.errors import MetricsUnavailable
from fleet.model.told import Told, tell
from fleet.model.unreadable import UNREADABLE

logger = logging.getLogger(__name__)

_PACKED = "application/x-msgpack"
# MessagePack is a quarter smaller, and made and read in less time; a server that has none answers in JSON. A 1.x gives
# it only to who accepts nothing else.
_HEADERS = {"Accept": _PACKED, "Content-Type": "application/x-www-form-urlencoded"}
_LIMIT = re.compile(r"max-[a-z-]+|query-timeout")


class NotExecuted(MetricsUnavailable):
    """Of several statements: a 1.x does not tell what is wrong with the first of them."""


class _Message(Struct):
    level: str = ""
    text: str = ""


class _Result(Struct):
    series: list[InfluxSeries] = []
    messages: list[_Message] = []
    error: str | None = None
    partial: bool = False


class _Answer(Struct):
    results: list[_Result] = []
    error: str | None = None


_DECODE = {True: msgspec.msgpack.Decoder(_Answer).decode, False: msgspec.json.Decoder(_Answer).decode}


def build_call(query: Query, database: str | None, *more: Query) -> Call:
    """One question: a statement, and perhaps others that have no parameters."""
    text = ";".join(each.text for each in (query, *more))
    form = {"q": text, "params": json.dumps(query.params), "epoch": "ns"}
    if database is not None:
        form["db"] = database
    return Call("/query", _HEADERS, urlencode(form).encode())


def explain_refusal(options: InfluxOptions, status: int) -> MetricsUnavailable:
    server, caller = options.server, options.caller
    if status == 401:
        mend = "check the token" if options.token else "check the name and the password"
        return MetricsUnavailable(tell("{} refuses {} (401): {}", server, caller, mend))
    if status == 403:
        return MetricsUnavailable(tell("{} does not let {} read {!r} (403)", server, caller, options.database))
    if status == 404:
        return MetricsUnavailable(
            Told("there is no InfluxDB 1.x (404)", f"there is no InfluxDB 1.x at {options.place} (404)")
        )
    return MetricsUnavailable(tell("{} answered {} to a query", server, status))


def decode_answer(raw: InfluxAnswer, database: str, statements: int = 1) -> list[list[InfluxSeries]]:
    """The series of each statement. Raises MetricsUnavailable for whatever is not a whole answer."""
    try:
        answer = _DECODE[raw.media_type.startswith(_PACKED)](raw.body)
    except UNREADABLE as error:
        raise MetricsUnavailable("InfluxDB's answer is cut short or is not the answer of an InfluxDB") from error
    error_text = answer.error or next((result.error for result in answer.results if result.error), None)
    if error_text == "not executed" or (0 < len(answer.results) < statements and error_text is None):
        raise NotExecuted("InfluxDB did not execute the query")
    if error_text is not None:
        raise MetricsUnavailable(_explained(error_text, database))
    if len(answer.results) != statements:
        raise MetricsUnavailable("InfluxDB's answer holds no result: it is not the answer of an InfluxDB")
    found = [result.series for result in answer.results]
    if any(result.partial for result in answer.results) or any(each.partial for series in found for each in series):
        raise MetricsUnavailable("InfluxDB cut its answer short (max-row-limit): ask for less, or raise its limit")
    if messages := [message for result in answer.results for message in result.messages]:
        logger.warning("InfluxDB sent a message with its answer: %.200r", messages[0].text)
        raise MetricsUnavailable("InfluxDB answered with a warning, so its answer is not relied on; the log has it")
    note_rows(sum(len(series.values) for series in found[0]))
    return found


def _explained(text: str, database: str) -> str:
    """A message for an error of InfluxDB. Its own words may hold the statement, so only the log gets them."""
    limit = _LIMIT.search(text)
    if "database not found" in text:
        return f"InfluxDB has no database {database!r}"
    if "query-timeout" in text or "timeout" in text:
        return "the query took longer than InfluxDB allows (query-timeout): ask for less, or raise its limit"
    if limit:
        return f"the query reached a limit of InfluxDB ({limit[0]}): ask for less, or raise its limit"
    logger.warning("InfluxDB reports an error: %.200r", text)
    if "authoriz" in text:
        return f"InfluxDB does not allow this server's user to read database {database!r}"
    return "InfluxDB reports an error for the query; the log has its words"
