"""Tries what this process needs of its machine: ports, the certificate of its own, descriptors, the audit log."""

import asyncio
import os
import resource
import ssl
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

import msgspec
from msgspec import Struct

from fleet.model.told import detail_of
from fleet.model.unreadable import UNREADABLE
from server.asgi.connections import RESERVED
from server.binding import bind, list_ports
from server.check.rows import Row
from server.own_command import NAME
from server.settings.environment import SettingsInvalid
from server.settings.groups import HttpSettings, Settings
from server.tls import open_certificate

_ASK_SECONDS = 2.0
_FEW_CONNECTIONS = 1_000
"""As many browsers and watches as a team holds open; each takes two descriptors."""


class _Version(Struct):
    name: str = ""
    version: str = ""


async def check_ports(http: HttpSettings) -> Row:
    """Whether they can be had; that this very server has them is fine."""
    what = "ports"
    ports = [port for port in list_ports(http) if port is not None]
    try:
        with ExitStack() as stack:
            for port in ports:
                stack.enter_context(bind(port, shared=http.workers > 1))
    except SettingsInvalid as error:
        if running := await asyncio.to_thread(_find_running, http):
            return Row(what, "ok", f"{NAME} {running} serves on them now")
        taken = " or ".join(f"sport = :{port.number}" for port in ports if port.number)
        return Row(what, "ill", detail_of(error), f"ss -ltnp '{taken}'")
    return Row(what, "ok", f"{', '.join(str(port.number or 'any free one') for port in ports)} can be had")


def _find_running(http: HttpSettings) -> str | None:
    """The version of the server of this name that has the main port."""
    host = list_ports(http)[0].own_host
    context = ssl.create_default_context()
    context.check_hostname = False  # nosemgrep: tls-is-verified - asks who is there, and shows nothing
    context.verify_mode = ssl.CERT_NONE  # nosemgrep: tls-is-verified - likewise
    connection = (
        HTTPConnection(host, http.port, timeout=_ASK_SECONDS)
        if http.tls_cert_file is None
        else HTTPSConnection(host, http.port, timeout=_ASK_SECONDS, context=context)
    )
    try:
        connection.request("GET", "/version")
        said = msgspec.json.decode(connection.getresponse().read(10_000), type=_Version)
    except (OSError, HTTPException, *UNREADABLE):
        return None
    finally:
        connection.close()
    return said.version if said.name == NAME else None


def check_certificate(settings: Settings) -> list[Row]:
    """A row where the main port speaks HTTPS."""
    what = "certificate"
    try:
        certificate = open_certificate(settings.http)
    except SettingsInvalid as error:
        return [Row(what, "ill", detail_of(error))]
    if certificate is None:
        return []
    mend = f"openssl x509 -noout -dates -in {settings.http.tls_cert_file}"
    if certificate.problem is not None:
        return [Row(what, "ill", certificate.problem, mend)]
    said = f"counts until {certificate.ends_at:%Y-%m-%d %H:%M} UTC"
    return [Row(what, "warn", f"{said}: renew it", mend) if certificate.ends_soon else Row(what, "ok", said)]


def check_descriptors(settings: Settings) -> Row:
    """How many connections the limit of open files leaves, of which a caller takes one and a member another."""
    what = "open files"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = settings.traffic.max_connections or _FEW_CONNECTIONS
    if most != resource.RLIM_INFINITY and (most - RESERVED) // 2 < asked:
        needed = 2 * asked + RESERVED
        said = f"{most} are allowed: {max(8, (most - RESERVED) // 2)} connections; {asked} of them take {needed}"
        return Row(what, "warn", said, f"ulimit -Hn {needed}")
    return Row(what, "ok", "as many as one likes" if most == resource.RLIM_INFINITY else f"{most} are allowed")


def check_audit_log(settings: Settings) -> list[Row]:
    """A row where a file is named; it is not made."""
    what, target = "audit log", settings.disclosure.audit_log
    if target in (None, "-"):
        return []
    file = Path(target)
    nearest = file if file.exists() else file.parent
    if nearest.is_dir() == (nearest == file) or not os.access(nearest, os.W_OK):
        mend = f"mkdir -p {file.parent}" if not file.parent.exists() else f"chmod u+w {nearest}"
        return [Row(what, "ill", f"OPENMCP_AUDIT_LOG is {target!r}, must be a file that can be written", mend)]
    return [Row(what, "ok", f"{file} can be written")]
