"""How requests go to a server of Prometheus' world: as whom, and over which connections.

A token, a user, a client certificate, authorities and a tenant are as the options say; files are read anew.
"""

import base64
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import urllib3

from fleet.aio.files import read_bytes
from fleet.metrics.pool import Call
from fleet.model.errors import MetricsUnavailable
from fleet.model.told import tell

_FILES_SECONDS = 10.0
"""How long what was read of the files of a credential counts."""


class Receiver(Protocol):
    """The server, fit for a message as `server`; `url` stands before the paths of calls."""

    @property
    def server(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def token_file(self) -> Path | None: ...
    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def ca_file(self) -> Path | None: ...
    @property
    def cert_file(self) -> Path | None: ...
    @property
    def key_file(self) -> Path | None: ...
    @property
    def tenant(self) -> str: ...
    @property
    def connections(self) -> int: ...


class Sender:
    """How requests go out: connections and headers, which are made anew once the files of the credential change."""

    def __init__(self, options: Receiver) -> None:
        self._options = options
        self._files = [path for path in (options.ca_file, options.cert_file, options.key_file) if path]
        self._seen: object = None
        self._due = 0.0
        self._pool: urllib3.PoolManager | None = None
        self._headers: Mapping[str, str] = {}

    def request(self, call: Call, timeout: float) -> urllib3.BaseHTTPResponse:
        if self._pool is None or time.monotonic() >= self._due:
            self._look()
        assert self._pool is not None  # noqa: S101 - narrows for mypy: made by the look above
        return self._pool.request(
            call.method,
            f"{self._options.url.rstrip('/')}{call.path}",
            body=call.body or None,
            headers={**self._headers, **call.headers},
            timeout=timeout,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )

    def _look(self) -> None:
        self._due = time.monotonic() + _FILES_SECONDS
        try:
            seen = [path.stat().st_mtime_ns for path in self._files]
            headers = _build_headers(self._options)
            if self._pool is None or seen != self._seen:
                self._pool = _open_connections(self._options)
        except (OSError, ValueError) as error:
            if self._pool is not None:
                return  # what was read before counts on
            self._due = 0.0
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise MetricsUnavailable(
                tell("a file of the credential for {} can't be used: {}", self._options.server, reason)
            ) from error
        self._seen, self._headers = seen, headers


def _build_headers(options: Receiver) -> Mapping[str, str]:
    headers = {"X-Scope-OrgID": options.tenant} if options.tenant else {}
    token = options.token
    if options.token_file is not None:
        token = _read_token(options.token_file)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    elif options.username:
        pair = f"{options.username}:{options.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return headers


def _read_token(path: Path) -> str:
    token = read_bytes(path, 1 << 20).decode(errors="replace").strip()
    if not token or not all("!" <= character <= "~" for character in token):
        raise ValueError(f"the token file {path} is empty or holds more than one token")
    return token


def _open_connections(options: Receiver) -> urllib3.PoolManager:
    context: ssl.SSLContext | None = None
    if urlsplit(options.url).scheme == "https":
        context = ssl.create_default_context(cafile=None if options.ca_file is None else str(options.ca_file))
        if options.cert_file is not None:
            context.load_cert_chain(options.cert_file, options.key_file)
    return urllib3.PoolManager(maxsize=options.connections, ssl_context=context)
