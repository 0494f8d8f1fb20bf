"""GraphiQL's page and its files, all from our own package: nothing is loaded from another host."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from graph.http.coding import IDENTITY, pick_coding
from graph.http.protocol import GRAPHQL_TYPE, pick_weights
from graph.operation import JSON_TYPE

STATIC_PATH = "graphql/static"
"""Relative to the server's root, which may be below a proxy's path."""

_SOURCES: Final[Mapping[str, str]] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",  # the editor sets styles of its own
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "worker-src": "'self' blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "; ".join(f"{kind} {sources}" for kind, sources in _SOURCES.items()),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
    "vary": "accept",
}

_KEPT = "public, max-age=31536000, immutable"  # RFC 8246: the URL names the content
_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "ttf": "font/ttf",
}
_SUFFIXES: Final[Mapping[str, str]] = {"br": ".br", "gzip": ".gz"}


@cache
def _files() -> Mapping[str, bytes]:
    """The files by their names; each is there in every coding of `_SUFFIXES`, and in no other."""
    return {entry.name: entry.read_bytes() for entry in (files("graph") / "graphiql" / "static").iterdir()}


@cache
def _release() -> str:
    """Names the content of all files together, in URLs and entity tags."""
    digest = hashlib.sha256()
    for name, content in sorted(_files().items()):
        digest.update(name.encode() + content)
    return digest.hexdigest()[:16]


@cache
def _page() -> str:
    page = (files("graph") / "graphiql" / "page.html").read_text(encoding="utf-8")
    return page.replace("{static}", f"{STATIC_PATH}/{_release()}")


def wants_page(request: Request) -> bool:
    """Whether a person opened the URL: a GET that likes a page no less than an answer."""
    if request.method not in ("GET", "HEAD") or "text/html" not in (accept := request.headers.get("accept", "")):
        return False
    weights = pick_weights(accept)
    return weights.get("text/html", 0.0) > max(weights.get(kind, 0.0) for kind in (JSON_TYPE, GRAPHQL_TYPE))


def page_response() -> Response:
    """The page, which takes `query` and `variables` from its URL; it holds nothing that needs a credential."""
    return Response(_page(), media_type="text/html", headers=dict(PAGE_HEADERS))


def serve_static(request: Request) -> Response:
    """One of the page's files. Only names that are in the package's folder exist, whatever release is asked for."""
    name, accept = request.path_params["file"], ", ".join(request.headers.getlist("accept-encoding"))
    coding = pick_coding(accept, tuple(_SUFFIXES))
    stored = _files().get(name + _SUFFIXES.get(coding, ".gz"))
    if stored is None:
        raise HTTPException(status_code=404)
    headers = {
        "cache-control": _KEPT if request.path_params["release"] == _release() else "no-cache",
        "etag": f'"{_release()}-{coding}"',
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
    }
    if coding != IDENTITY:
        headers["content-encoding"] = coding
    if is_known(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    body = gzip.decompress(stored) if coding == IDENTITY else stored
    return Response(body, media_type=_TYPES.get(name.rpartition(".")[2]), headers=headers)


def is_known(request: Request[Any], etag: str) -> bool:
    """Whether the client has what this entity tag names (RFC 9110, section 13.1.2)."""
    known = ", ".join(request.headers.getlist("if-none-match"))
    return any(tag.strip().removeprefix("W/") in ("*", etag.removeprefix("W/")) for tag in known.split(","))
