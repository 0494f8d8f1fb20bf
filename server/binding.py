"""Ports as they are taken: bound before anything is opened, so that one in use is said first."""

import contextlib
import socket
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from server.settings.environment import SettingsInvalid
from server.settings.groups import HttpSettings

_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class Port(Struct, frozen=True):
    """A port that is asked for, and the fields of the settings that say so."""

    host: str
    number: int
    field: str
    host_field: str = "host"

    @property
    def own_host(self) -> str:
        """The host by which this machine reaches it."""
        return "127.0.0.1" if self.host in _ANY else self.host


def list_ports(http: HttpSettings) -> tuple[Port, Port, Port | None]:
    """The main port, that for operators, and the plain one where there is one."""
    plain = None if http.plain_port is None else Port(http.host, http.plain_port, "plain_port")
    return Port(http.host, http.port, "port"), Port(http.ops_host, http.ops_port, "ops_port", "ops_host"), plain


@contextlib.contextmanager
def bind(port: Port, *, shared: bool = False) -> Iterator[socket.socket]:
    """A bound socket that does not listen yet; `shared` with other processes of the same user that say so too.

    Raises SettingsInvalid.
    """
    host, number = port.host, port.number
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        named = f"OPENMCP_{port.host_field.upper()}"
        raise SettingsInvalid([f"{named} is {host!r}, must be an address of this machine ({error})"]) from error
    with bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind(address)
        except OSError as error:
            named = f"OPENMCP_{port.field.upper()}"
            raise SettingsInvalid([f"{named} is {number}, must be a free port of {host} ({error.strerror})"]) from error
        yield bound


@contextlib.contextmanager
def reserve_port(port: Port) -> Iterator[int]:
    """The number of a port that was free and that others may now share, until the `with` is left.

    The socket that holds it never listens, so no connection goes to it. Raises SettingsInvalid.
    """
    with bind(port) as alone:
        number = int(alone.getsockname()[1])  # it was nobody's: one that is shared could be another server's
    with bind(msgspec.structs.replace(port, number=number), shared=True):
        yield number
