"""Ports as they are taken: bound before anything is opened, so that one in use is said first."""

import contextlib
import socket
from collections.abc import Iterator

from server.settings.environment import SettingsInvalid


@contextlib.contextmanager
def bind(host: str, port: int, name: str, *, shared: bool = False) -> Iterator[socket.socket]:
    """A bound socket that does not listen yet; `shared` with other processes of the same user that say so too.

    `name` is the port's variable, for the message. Raises SettingsInvalid.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsInvalid([f"OPENMCP_HOST is {host!r}, must be an address of this machine ({error})"]) from error
    with bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind(address)
        except OSError as error:
            raise SettingsInvalid([f"{name} is {port}, must be a free port of {host} ({error.strerror})"]) from error
        yield bound


@contextlib.contextmanager
def reserve_port(host: str, port: int, name: str) -> Iterator[int]:
    """The number of a port that was free and that others may now share, until the `with` is left.

    The socket that holds it never listens, so no connection goes to it. Raises SettingsInvalid.
    """
    with bind(host, port, name) as alone:
        number = int(alone.getsockname()[1])  # it was nobody's: one that is shared could be another server's
    with bind(host, number, name, shared=True):
        yield number
