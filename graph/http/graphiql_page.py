"""GraphiQL's page and its files, all from our own package: nothing is loaded from another host."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

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

_FILE_HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "public, max-age=86400",  # names are fixed, so a new release is seen within a day
    "x-content-type-options": "nosniff",
}
_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "ttf": "font/ttf",
    "map": "application/json",
}


@cache
def _page() -> str:
    return (files("graph") / "graphiql" / "page.html").read_text(encoding="utf-8")


@cache
def _static_names() -> frozenset[str]:
    return frozenset(entry.name for entry in (files("graph") / "graphiql" / "static").iterdir() if entry.is_file())


def page_response() -> Response:
    """The page; it holds nothing that needs a credential."""
    return Response(_page(), media_type="text/html", headers=dict(PAGE_HEADERS))


def serve_static(request: Request) -> Response:
    """One of the page's files. Only names that are in the package's folder exist."""
    name = request.path_params["file"]
    if name not in _static_names():
        raise HTTPException(status_code=404)
    body = (files("graph") / "graphiql" / "static" / name).read_bytes()
    kind = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return Response(body, media_type=kind, headers=dict(_FILE_HEADERS))
