"""Log lines: text for people, JSON for collectors, to standard error. `extra={"fields": {...}}` adds members.

What is logged in a request has its id, and the trace's where there is one. Credentials are kept out where lines are
made; what has the form of one, in the words of a library or a member, is hidden here.
"""

import json
import logging
import logging.config
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from fleet.aio.request_context import current_request
from fleet.model.redaction import REDACTED
from fleet.model.told import detail_of
from server.log_handler import LogHandler
from server.settings.groups import LoggingSettings

_SAID = frozenset({"method", "path", "status", "took_ms"})
"""Fields that a text's message holds already."""

_COLOURS = {"debug": 2, "info": 36, "warning": 33, "error": 31, "critical": 31}
_MARKS = ("eyj", "omcp_", "@", "bearer", "private key", "$argon2", "authorization", "passw", "token", "secret", "key")
"""One of them, in small letters, is in whatever the pattern finds: lines that have none are looked through fast."""

_NAMED = r"(?i:password|passwd|token|secret|api[_-]?key)"
_CREDENTIAL = re.compile(
    # What is kept: the scheme of an Authorization, and a name before `=`, or quoted before a colon.
    r"((?i:authorization\\*[\"']?[:=] ?\\*[\"']?\w+ |bearer )(?=\S{16})"
    rf"|{_NAMED}(?:\\*[\"'])?=(?:\\*[\"'])?(?=[^\s=])|{_NAMED}\\*[\"'] ?: ?\\*[\"'])[^\s\"'\\&,;]+"
    # At the beginning of a word alone (or behind `%20`): else each `eyJ` of a long one is a search to its end.
    r"|(?:(?<![\w-])|(?<=%[0-9A-Fa-f]{2}))eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|omcp_\w{20,}|(?<=://)[^/@\s\"']+(?=@)"
    r"|(?s:-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*-----|$))|\$argon2[^\s\"']*"
)


def _read(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """Its text, with what others than who runs this server are not told, and its fields."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(detail_of, record.args))
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    request = current_request()
    if request is None or "id" in fields:
        return record.getMessage(), {**fields}
    traced = {} if request.trace_id is None else {"trace_id": request.trace_id}
    return record.getMessage(), {**fields, **traced, "id": request.request_id}


class TextLines(logging.Formatter):
    """`2026-01-31T12:00:00.000Z warning auth.directory: message field=value`; no text of others begins a line."""

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        message, fields = _read(record)
        level = record.levelname.lower()
        if self._colours:
            level = f"\x1b[{_COLOURS.get(level, 0)}m{level}\x1b[0m"
        shown = "".join(f" {name}={_quote(value)}" for name, value in fields.items() if name not in _SAID)
        line = f"{_time(record)} {level} {record.name}: {_escape(message)}{shown}"
        if record.exc_info:
            line += "\n  " + "\n  ".join(map(_escape, self.formatException(record.exc_info).split("\n")))
        return hide_credentials(line)


class JsonLines(logging.Formatter):
    """An object a line: time, level, logger, message, the fields of the record, and `exception` with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        message, fields = _read(record)
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
            **fields,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        try:
            line = orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # half of a surrogate pair
            line = json.dumps(entry, default=str)
        return hide_credentials(line)


def hide_credentials(line: str) -> str:
    """Without what looks like a token, a private key, a password's hash, or the user information of a URL."""
    small = line.lower()
    if not any(mark in small for mark in _MARKS):
        return line
    return _CREDENTIAL.sub(lambda found: (found[1] or "") + REDACTED, line)


def configure_logging(settings: LoggingSettings) -> None:
    """Sets the process' logging up. Libraries are heard from `warning` on."""
    # Nothing in a line says them, and finding them out costs most of a line (the logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - documented there, for want of a public name
    coloured = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    form = {"()": JsonLines} if settings.log_format == "json" else {"()": TextLines, "colours": coloured}
    level = settings.log_level.upper()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": form},
            "handlers": {"stderr": {"()": LogHandler, "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {name: {"level": level} for name in ("auth", "demo", "fleet", "graph", "rest_compat", "server")},
        }
    )


def _quote(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not {" ", '"', "="} & set(text) else json.dumps(text)


def _escape(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.created % 1 * 1000):03d}Z"


@lru_cache(maxsize=2)
def _second(number: int) -> str:
    return datetime.fromtimestamp(number, UTC).strftime("%Y-%m-%dT%H:%M:%S")
