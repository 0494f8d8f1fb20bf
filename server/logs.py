"""Log lines: text for people, JSON for collectors, to standard error. `extra={"fields": {...}}` adds members."""

import logging
import logging.config
from datetime import UTC, datetime
from functools import lru_cache

import orjson

from fleet.model.told import detail_of
from server.settings.groups import LoggingSettings


def _message(record: logging.LogRecord) -> str:
    """Its text, with what others than who runs this server are not told."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(detail_of, record.args))
    return record.getMessage()


class TextLines(logging.Formatter):
    """`2026-01-31T12:00:00.000Z warning auth.directory: message`."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname.lower()} {record.name}: {_message(record)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonLines(logging.Formatter):
    """An object a line: time, level, logger, message, the fields of the record, and `exception` with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure_logging(settings: LoggingSettings) -> None:
    """Sets the process' logging up. Libraries are heard from `warning` on."""
    # Nothing in a line says them, and finding them out costs most of a line (the logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - documented there, for want of a public name
    formatter = JsonLines if settings.log_format == "json" else TextLines
    level = settings.log_level.upper()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {name: {"level": level} for name in ("auth", "demo", "fleet", "graph", "rest_compat", "server")},
        }
    )


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.created % 1 * 1000):03d}Z"


@lru_cache(maxsize=2)
def _second(number: int) -> str:
    return datetime.fromtimestamp(number, UTC).strftime("%Y-%m-%dT%H:%M:%S")
