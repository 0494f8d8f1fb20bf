"""Whom callers' connections are from, by their certificates; and an end to these when the authorities change."""

import asyncio
import ssl
import time
from functools import partial
from weakref import WeakSet

from auth.certificates import ClientCertificate, read_identity


class ClientCertificates:
    """Certificates of one port's connections, each verified by the authorities of its handshake's context."""

    def __init__(self, authorities: bytes) -> None:
        self.holders: WeakSet[asyncio.Protocol] = WeakSet()
        self._authorities = authorities
        self._changed_at = 0.0

    def read(self, transport: asyncio.BaseTransport) -> ClientCertificate | None:
        """The connection's; None where it has none that counts."""
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        shown = None if tls is None else tls.getpeercert()
        identity = read_identity(shown) if shown else None
        if tls is None or identity is None:
            return None
        # A resumed session brings what was verified when it began (TLS 1.2; there are none of TLS 1.3).
        if tls.session_reused and (tls.session is None or tls.session.time <= self._changed_at):
            return None
        return ClientCertificate(identity, partial(self._has_other_than, getattr(tls.context, "authorities", b"")))

    def change(self, authorities: bytes) -> None:
        """From now on these count: connections that brought a certificate end after their request."""
        if authorities == self._authorities:
            return
        self._authorities = authorities
        self._changed_at = time.time()
        for protocol in tuple(self.holders):
            if protocol in protocol.connections:  # type: ignore[attr-defined]  # uvicorn's; not what became a WebSocket
                protocol.shutdown()  # type: ignore[attr-defined]
        self.holders.clear()

    def _has_other_than(self, authorities: bytes) -> bool:
        return self._authorities != authorities
