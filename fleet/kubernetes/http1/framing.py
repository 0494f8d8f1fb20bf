"""Where an answer's head and body begin and end: the callbacks of httptools' parser, which knows the grammar.

An answer is whole only when its framing says so. Source: RFC 9112 sections 6 (bodies) and 8 (incomplete messages).
"""

from enum import Enum

import httptools

from fleet.kubernetes.http1.reader import Reader
from fleet.ports import Headers

MAX_HEAD_BYTES = 64 * 1024
"""Of an answer's head, the informational ones before it included, and of what follows its body."""

_TOO_LARGE = f"its header is larger than {MAX_HEAD_BYTES} bytes"
_UNASKED_SWITCH = "it switches protocols, which was not asked for"


class AnswerProblem(Exception):
    """What arrived is no answer; the message says why, in words of ours or the parser's."""


class Part(Enum):
    """What an answer's next byte belongs to."""

    HEAD = 0
    BODY = 1
    UNTIL_CLOSE = 2
    """A body without a length: the end of the connection is its end."""
    WHOLE = 3
    SWITCHED = 4
    """Another protocol, after a 101 that was asked for."""


HEAD, BODY, UNTIL_CLOSE, WHOLE, SWITCHED = Part  # Python 3.11 runs code of its own for each `Part.HEAD`


class Framing:
    """One answer after the other. Bodies go to `reader`, heads to `status` and `headers`."""

    def __init__(self, reader: Reader) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.part = WHOLE
        self.keeps_alive = False
        self.no_bytes_received = True
        self._reader = reader
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = self._may_switch = self._progressed = False
        self._trailer_bytes = self._fed = self._quiet_bytes = 0

    def begin(self, *, head_only: bool, may_switch: bool) -> None:
        """Awaits an answer: to HEAD one without a body, to an upgrade perhaps a 101."""
        if self._head_only:
            self._parser = httptools.HttpResponseParser(self)  # the last one waits for a body that does not come
        self.status, self.headers = 0, []
        self.part = HEAD
        self.keeps_alive = False
        self.no_bytes_received = True
        self._head_only, self._may_switch = head_only, may_switch
        self._trailer_bytes = self._quiet_bytes = 0

    def feed(self, data: bytes | memoryview) -> int:
        """Parses; how much of `data` is HTTP, which a switch of protocols ends. Raises AnswerProblem."""
        self.no_bytes_received = self._progressed = False
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            if self.part is SWITCHED:
                return int(switch.args[0])
            raise AnswerProblem(_UNASKED_SWITCH) from None
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            raise (cause if isinstance(cause, AnswerProblem) else AnswerProblem(str(error))) from None
        except httptools.HttpParserError as error:
            raise AnswerProblem(str(error)) from None
        if self._progressed:
            self._quiet_bytes = 0
            return self._fed
        # The parser tells of whole fields only: one without an end is noticed by what arrives and says nothing.
        self._quiet_bytes += self._fed
        if self._quiet_bytes > MAX_HEAD_BYTES:
            raise AnswerProblem(_TOO_LARGE)
        return self._fed

    # httptools' callbacks.

    def on_message_begin(self) -> None:
        """A second answer to one request is surplus."""
        if self.part is WHOLE:
            self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes one field, in which the parser lets no control character but a tab pass; after the body, counts it."""
        if self.part is HEAD:
            self.headers.append((name.lower(), value))
            return
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailer_bytes > MAX_HEAD_BYTES:
            raise AnswerProblem(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Takes the head, unless it is informational; decides how the body ends."""
        if self.part is WHOLE:
            return
        if self._quiet_bytes + self._fed > MAX_HEAD_BYTES and _measure(self.headers) > MAX_HEAD_BYTES:
            raise AnswerProblem(_TOO_LARGE)
        status = self._parser.get_status_code()
        if status < 200 and status != 101:
            self.headers = []
            return
        if status == 101 and not (self._may_switch and self._parser.should_upgrade()):
            raise AnswerProblem(_UNASKED_SWITCH)
        if status > 599 or self._parser.get_http_version() not in ("1.1", "1.0"):
            raise AnswerProblem(f"it is HTTP/{self._parser.get_http_version()} with status {status}")
        self.status = status
        self._progressed = True
        if status == 101:
            self.part = SWITCHED
        else:
            framed = _is_framed(self.headers) or self._head_only or status in (204, 304)
            self.keeps_alive = framed and self._parser.should_keep_alive()
            self.part = BODY if framed else UNTIL_CLOSE
            if self._head_only:
                self.on_message_complete()
        self._reader.wake()

    def on_body(self, data: bytes) -> None:
        self._progressed = True
        if self.part is WHOLE:
            self.keeps_alive = False
        else:
            self._reader.feed(data)

    def on_message_complete(self) -> None:
        """The framing says that it is whole, which an informational answer never is."""
        if self.part in (BODY, UNTIL_CLOSE):
            self.part = WHOLE
            self._reader.end()


def _measure(headers: Headers) -> int:
    return sum(len(name) + len(value) + len(": \r\n") for name, value in headers)


def _is_framed(headers: Headers) -> bool:
    """Whether the head says where the body ends; else the connection's end is its end. Raises AnswerProblem."""
    framed = False
    for name, value in headers:
        if name == b"transfer-encoding":
            if framed or value.strip().lower() != b"chunked":
                raise AnswerProblem(f"its transfer encoding is {value[:50]!r}")
            framed = True
        elif name == b"content-length":
            framed = True
    return framed
