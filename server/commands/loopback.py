"""Receives the answer to a sign-in in a browser, on loopback (RFC 8252, section 7.3)."""

import hmac
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PATH = "/callback"
_READ_SECONDS = 10
_PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>OpenMCP API server</title>"
    b"<p>You can close this page and go on in the terminal."
)


class Loopback:
    """Where the browser is led back to; only what has the state of the sign-in is an answer to it."""

    def __init__(self, port: int, answers: "queue.SimpleQueue[Mapping[str, str]]") -> None:
        self.redirect_uri = f"http://127.0.0.1:{port}{PATH}"
        self._answers = answers

    def wait(self, state: str, seconds: float) -> Mapping[str, str]:
        """The parameters of the answer. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while True:
            try:
                answer = self._answers.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty as error:
                raise TimeoutError from error
            if hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
                return answer


@contextmanager
def open_loopback(port: int = 0) -> Iterator[Loopback]:
    """Listens on the port, 0: any free one. Raises OSError where it is taken."""
    answers: queue.SimpleQueue[Mapping[str, str]] = queue.SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        timeout = _READ_SECONDS

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            found = parts.path == PATH
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", "default-src 'none'")
            self.end_headers()
            self.wfile.write(_PAGE if found else b"")
            if found:
                answers.put(dict(parse_qsl(parts.query)))

        def log_message(self, *_: Any) -> None:
            """Nothing: the URL has the code."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        listening = threading.Thread(target=server.serve_forever, daemon=True)
        listening.start()
        try:
            yield Loopback(server.server_address[1], answers)
        finally:
            server.shutdown()
            listening.join()
