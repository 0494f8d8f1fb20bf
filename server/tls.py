"""The certificate of the main port: read again when its files change, without an end to any connection."""

import asyncio
import hashlib
import logging
import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from fleet.aio.detached import Detached
from fleet.aio.files import read_bytes
from server.asgi.client_certificates import ClientCertificates
from server.settings.environment import SettingsInvalid
from server.settings.groups import HttpSettings

POLL_SECONDS = 2.0
"""How often the files are looked at: whoever renews a certificate does so hours before the old one ends."""

WARN_BEFORE = timedelta(days=14)
TICKETS = 1
"""Of a session, for the next connection: OpenSSL's two are for callers that open two at once."""

_MAX_BYTES = 1024 * 1024
_TIME = rb"(?:\x17\x0d(\d{12})|\x18\x0f(\d{14}))Z"
_VALIDITY = re.compile(_TIME * 2)
"""RFC 5280, section 4.1.2.5, in DER: two times in a row, of which the second is the end."""

_PLAIN = re.compile(rb"[A-Z]{3,9} ")
_SAID = b"Client sent an HTTP request to an HTTPS server.\n"
_PLAIN_ANSWER = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%s" % (len(_SAID), _SAID)
)

_log = logging.getLogger(__name__)


class CertificateInvalid(ValueError):
    """The files do not make a certificate; the message says why and holds nothing of a key."""


class AuthoritiesInvalid(CertificateInvalid):
    """The file of the authorities holds none that can be used."""


class _Loaded(Struct, frozen=True):
    """A context and what it was made of."""

    context: "_TellingContext"
    digest: bytes
    ends_at: datetime


class ReloadingCertificate:
    """Serves with the newest content of two files that made a certificate and its key.

    `context` is for the listening socket and never changes: once the files have, each handshake is handed over to the
    context that counts then, so that new connections have the new certificate and open ones go on undisturbed.
    """

    def __init__(self, certificate: Path, key: Path, authorities: Path | None = None) -> None:
        """Raises CertificateInvalid."""
        self._paths = (certificate, key) if authorities is None else (certificate, key, authorities)
        self._current = _load(*self._paths)
        self.clients = None if authorities is None else ClientCertificates(self._current.context.authorities)
        self._refused = b""
        self._warned: str | None = None
        self._reading = Detached()
        self._hangs = False
        self.context = self._current.context

    @property
    def ends_at(self) -> datetime:
        return self._current.ends_at

    @property
    def problem(self) -> str | None:
        """That it does not count any more; None while it does."""
        ended = self.ends_at <= datetime.now(UTC)
        return (
            f"{self._paths[0]} has expired, on {self.ends_at:%Y-%m-%d %H:%M} UTC: clients refuse it" if ended else None
        )

    @property
    def ends_soon(self) -> bool:
        return self.ends_at - datetime.now(UTC) < WARN_BEFORE

    def warn(self) -> None:
        """Logs, once each, that the certificate ends soon, and that it has."""
        problem = self.problem
        if problem is None and self.ends_soon:
            problem = f"{self._paths[0]} ends on {self.ends_at:%Y-%m-%d %H:%M} UTC: renew it"
        if problem is not None and problem != self._warned:
            _log.log(logging.ERROR if self.problem else logging.WARNING, "the certificate %s", problem)
        self._warned = problem

    def reload(self) -> bool:
        """Looks at the files; True where new content counts from now on. What can't be used is logged once."""
        try:
            digest = _digest(*self._paths)
        except OSError as error:
            digest = repr(error).encode()
        if digest in (self._current.digest, self._refused):
            return False
        try:
            self._current = _load(*self._paths)
        except CertificateInvalid as error:
            self._refused = digest
            _log.error("the new certificate can't be used, the old one stays in force: %s", error)
            return False
        self._refused = b""
        _log.info("the certificate was read again from %s", self._paths[0])
        return True

    async def watch(self) -> None:
        while True:
            self.warn()
            await asyncio.sleep(POLL_SECONDS)
            if await self._read_again():
                self.context.sni_callback = self._select_context  # here, where no handshake goes on meanwhile
                if self.clients is not None:
                    self.clients.change(self._current.context.authorities)

    async def _read_again(self) -> bool:
        try:
            found = await self._reading.run(self.reload)
        except TimeoutError:
            if not self._hangs:
                files = ", ".join(map(str, self._paths))
                _log.error("the certificate in force stays: %s do not answer when they are read", files)
            self._hangs = True
            return False
        self._hangs = False
        return found

    def _select_context(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current.context


def open_certificate(http: HttpSettings) -> ReloadingCertificate | None:
    """The certificate that the settings name; None where they name none. Raises SettingsInvalid."""
    if http.tls_cert_file is None or http.tls_key_file is None:
        return None
    for name in ("tls_cert_file", "tls_key_file", "tls_client_ca_file"):
        if (path := getattr(http, name)) is not None:
            _check_readable(f"OPENMCP_{name.upper()}", path)
    try:
        return ReloadingCertificate(http.tls_cert_file, http.tls_key_file, http.tls_client_ca_file)
    except AuthoritiesInvalid as error:
        problem = f"OPENMCP_TLS_CLIENT_CA_FILE is '{http.tls_client_ca_file}', must be certificates in PEM ({error})"
        raise SettingsInvalid([problem]) from error
    except CertificateInvalid as error:
        problem = (
            f"OPENMCP_TLS_CERT_FILE is '{http.tls_cert_file}' and OPENMCP_TLS_KEY_FILE is '{http.tls_key_file}', "
            f"must be a certificate chain and its unencrypted key in PEM ({error})"
        )
        raise SettingsInvalid([problem]) from error


def _load(certificate: Path, key: Path, authorities: Path | None = None) -> _Loaded:
    context = _build_context()
    paths = (certificate, key) if authorities is None else (certificate, key, authorities)
    try:
        before = _digest(*paths)
        if authorities is not None:
            _trust_clients(context, authorities)
        # The empty password keeps OpenSSL from asking on the terminal for an encrypted key's.
        context.load_cert_chain(certificate, key, password="")  # nosec B106 - as said
        after = _digest(*paths)
        ends_at = _read_end(certificate)
    except CertificateInvalid:
        raise
    except ssl.SSLError as error:
        raise CertificateInvalid(error.reason or "unreadable") from error
    except (OSError, ValueError) as error:
        raise CertificateInvalid(getattr(error, "strerror", None) or "unreadable") from error
    if before != after:
        raise CertificateInvalid("the files are being written")
    return _Loaded(context, after, ends_at)


def _trust_clients(context: "_TellingContext", authorities: Path) -> None:
    """Has the context take client certificates of these. Raises OSError, AuthoritiesInvalid."""
    content = read_bytes(authorities, _MAX_BYTES)
    try:
        context.load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise AuthoritiesInvalid(getattr(error, "reason", None) or "no certificate in it") from error
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # as an API server: an intermediate one will do
    # A session that goes on brings a certificate that is verified no more.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    context.authorities = hashlib.sha256(content).digest()


def _read_end(certificate: Path) -> datetime:
    """When the first certificate of a chain ends; the last of all times where that can't be told. Raises OSError."""
    _, begin, rest = certificate.read_text("latin-1").partition(ssl.PEM_HEADER)
    body, end, _ = rest.partition(ssl.PEM_FOOTER)
    found = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(begin + body + end)) if end else None
    if found is None:
        return datetime.max.replace(tzinfo=UTC)
    text, form = (found[3], "%y%m%d%H%M%S") if found[3] else (found[4], "%Y%m%d%H%M%S")
    return datetime.strptime(text.decode(), form).replace(tzinfo=UTC)


class _TellingObject(ssl.SSLObject):
    """The server's end of TLS, which says that it is one to a caller that begins with plain HTTP."""

    arrived: ssl.MemoryBIO
    sent: ssl.MemoryBIO
    is_plain: bool | None = None
    """Whether the first bytes were plain HTTP; None until they are there."""

    def do_handshake(self) -> None:
        """Asks for more for ever after the answer in plain HTTP: the caller hangs up, or the handshake's time ends."""
        if self.is_plain is None and self.arrived.pending:
            first = self.arrived.read()
            self.arrived.write(first)
            self.is_plain = _PLAIN.match(first) is not None
            if self.is_plain:
                self.sent.write(_PLAIN_ANSWER)
        if self.is_plain:
            self.arrived.read()
            raise ssl.SSLWantReadError
        super().do_handshake()


class _TellingContext(ssl.SSLContext):
    sslobject_class = _TellingObject
    authorities = b""
    """Says which client certificates it takes; empty: none."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(made, _TellingObject)  # noqa: S101 - it is this class's `sslobject_class`
        made.arrived, made.sent = incoming, outgoing
        return made


def _build_context() -> _TellingContext:
    context = _TellingContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = TICKETS
    return context


def _digest(*paths: Path) -> bytes:
    digest = hashlib.sha256()
    for path in paths:
        content = read_bytes(path, _MAX_BYTES)
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()


def _check_readable(name: str, path: Path) -> None:
    try:
        read_bytes(path, 1)
    except OSError as error:
        raise SettingsInvalid([f"{name} is '{path}', must be a file that can be read ({error.strerror})"]) from error
