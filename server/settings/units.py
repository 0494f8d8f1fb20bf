"""How durations, sizes, words, hosts and lists of paths and names are written in a setting."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from fleet.model.errors import InvalidQuery
from fleet.model.selectors import parse_label_selector

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_BYTES = re.compile(r"(\d+)(Ki|Mi|Gi|Ti)?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MULTIPLES = {None: 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


def parse_seconds(value: object) -> object:
    """Seconds of `90s`, `5m`, `1h30m`, `250ms`; numbers, and texts that are numbers, are seconds already."""
    if isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(value))
    return value


def parse_bytes(value: object) -> object:
    """Bytes of `512Mi`, `1Gi`; a plain number is bytes already."""
    match = _BYTES.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(match[1]) * _MULTIPLES[match[2]] if match else value


def expand_home(path: Path) -> Path:
    """The path with the home directory in the place of `~`. Raises ValueError where there is none."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path.parts[0]} is no directory known here: set HOME, or write a whole path") from error


def parse_paths(value: object) -> object:
    """Paths of a text in which they are separated as in PATH; `~` is the home directory."""
    parts = value.split(os.pathsep) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str | Path) for part in parts):
        return value
    return tuple(expand_home(Path(part)) for part in parts if str(part))


def parse_names(value: object) -> object:
    """Names of a text in which they are separated by commas."""
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses and networks. Raises ValueError."""
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise ValueError(f"{network[:100]!r} is no address and no network: {error}") from error
    return networks


def check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Origins, each as browsers write it (RFC 6454, section 6.2), or `*` alone. Raises ValueError."""
    if "*" in origins and len(origins) > 1:
        raise ValueError("* is all origins: no other stands beside it")
    for origin in origins:
        if origin != "*" and origin != (right := _write_origin(origin)):
            raise ValueError(f"{origin[:100]!r} is no origin" + (f", did you mean {right}?" if right else ""))
    return origins


def check_label_selector(text: str | None) -> str | None:
    """A label selector. Raises ValueError that says what is wrong."""
    try:
        parse_label_selector(text or "")
    except InvalidQuery as error:
        raise ValueError(str(error)) from error
    return text


def _write_origin(text: str) -> str | None:
    """What a browser would send for a page at this URL; None where it is no URL with a host."""
    try:
        url = urlsplit(text)
        host = (url.hostname or "").encode("idna").decode("ascii")
        port = "" if url.port in (None, _DEFAULT_PORTS.get(url.scheme)) else f":{url.port}"
    except ValueError:
        return None
    return f"{url.scheme}://{bracketed(host)}{port}" if url.scheme and re.fullmatch(r"[\w.:-]+", host) else None


def bracketed(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if host.count(":") > 1 and "[" not in host else host


def parse_word(value: object) -> object:
    """One of a few words, in any case."""
    return value.strip().lower() if isinstance(value, str) else value


def parse_words(value: object) -> object:
    """Some of a few words, in any case, separated by commas, each once. Raises ValueError."""
    names = parse_names(value)
    if not isinstance(names, list | tuple):
        return value
    words = tuple(map(parse_word, names))
    twice = next((word for word in words if words.count(word) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is named twice")
    return words
