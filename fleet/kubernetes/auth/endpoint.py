"""Addresses of API servers and proxies as people write them."""

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9._:%-]+")


def parse_endpoint(text: str) -> str:
    """An API server's base URL without a trailing slash; `host[:port]` means https.

    Raises ValueError that says what is wrong.
    """
    if not text:
        raise ValueError("is empty; it must be https://HOST[:PORT]")
    url = text if "://" in text else f"https://{text}"
    return _check(url, text, ("https", "http"), "https://HOST[:PORT]")


def normalise_endpoint(endpoint: str) -> str:
    """The same for all ways to write one parsed endpoint: host in lower case, a port in any case."""
    parts = urlsplit(endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path}"


def parse_proxy(text: str) -> str:
    """The URL of an HTTP or SOCKS5 proxy, which may hold a user and a password.

    Raises ValueError that says what is wrong.
    """
    return _check(text, "the value", ("http", "socks5"), "http://HOST:PORT or socks5://HOST:PORT", secret=True)


def _check(url: str, text: str, schemes: tuple[str, ...], shape: str, *, secret: bool = False) -> str:
    shown = "the value" if secret else repr(text[:200])
    try:
        parts = urlsplit(url)
        port_is_sane = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ValueError(f"{shown} is no URL; it must be {shape}") from error
    if parts.scheme not in schemes or not _HOST.fullmatch(parts.hostname or "") or not port_is_sane:
        raise ValueError(f"{shown} must be {shape}")
    if parts.query or parts.fragment or (not secret and parts.username is not None):
        raise ValueError(f"the URL of {parts.hostname} must be {shape}, without user, query or fragment")
    if any(character <= " " or character > "~" for character in url):
        raise ValueError(f"{shown} must be {shape}, in ASCII and without spaces")
    return f"{parts.scheme}{url[len(parts.scheme) :]}".rstrip("/")  # a scheme is the same in any case
