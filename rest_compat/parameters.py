"""What the legacy routes read from a URL, from its raw bytes: what is passed on is passed on byte for byte."""

from urllib.parse import unquote_plus

from fleet.model.errors import InvalidQuery
from rest_compat.platform import HOST_CLUSTER
from rest_compat.request import Request


def read_path(request: Request) -> str:
    """The path as the caller encoded it. Raises InvalidQuery."""
    raw: bytes = request.scope["raw_path"]
    return _ascii(raw.partition(b"?")[0], "path")


def read_query(request: Request) -> str:
    """The query as the caller encoded it. Raises InvalidQuery."""
    raw: bytes = request.scope["query_string"]
    return _ascii(raw, "query")


def split_clustername(query: str) -> tuple[str, str]:
    """The cluster that is asked for, and the query without that parameter. Raises InvalidQuery where it is missing."""
    names: list[str] = []
    rest: list[str] = []
    for piece in query.split("&"):
        key, _, value = piece.partition("=")
        if key == "clustername" or ("%" in key and unquote_plus(key) == "clustername"):
            names.append(unquote_plus(value))
        else:
            rest.append(piece)
    if not names:
        raise InvalidQuery("add ?clustername=NAME to say which cluster is meant; the host cluster is openmcp")
    return names[0] or HOST_CLUSTER, "&".join(rest)


def read_parameter(query: str, name: str) -> str | None:
    """The first value of a parameter; None where it is missing or empty."""
    for piece in query.split("&"):
        key, _, value = piece.partition("=")
        if unquote_plus(key) == name:
            return unquote_plus(value) or None
    return None


def _ascii(raw: bytes, what: str) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidQuery(f"the {what} must be percent-encoded") from error
