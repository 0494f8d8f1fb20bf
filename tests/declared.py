"""What `/openapi.json` says of an answer."""

import re
from functools import cache
from typing import Any

from server.openapi import load_openapi

_SEGMENT = re.compile(r"\{(\w+)\}")
_EXACT = frozenset({"/", "/healthz", "/readyz", "/token", "/join", "/joinCloud"})
"""Paths that are not served with a slash at their end."""


def assert_declared(method: str, target: str, status: int, content_type: str | None) -> None:
    """Fails for an answer of a status or a content type that is not described at its path."""
    responses = find_responses(method, target.partition("?")[0])
    if responses is None or "default" in responses or status == 405:  # what is no method is none anywhere
        return
    assert str(status) in responses, f"{method} {target}: {status} is not described"
    described = _resolve(responses[str(status)]).get("content", {})
    if content_type is None:
        assert not described or method == "HEAD", f"{method} {target}: {status} has no content type"
        return
    kind = content_type.partition(";")[0].strip()
    assert kind in described, f"{method} {target}: {status} in {kind} is not described"


def find_responses(method: str, path: str) -> dict[str, Any] | None:
    """The answers by status, None at a path that is not described. Yesterday's routes answer any method alike."""
    item = next((item for template, item in _paths() if template.fullmatch(path)), None)
    if item is None:
        return None
    operation = item.get(method.lower()) or item.get("get") or item["post"]
    responses: dict[str, Any] = operation["responses"]
    return responses


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    def compile_path(template: str) -> re.Pattern[str]:
        pattern = _SEGMENT.sub(lambda named: ".+" if named[1] == "path" else "[^/]+", template)
        return re.compile(pattern if template in _EXACT else f"{pattern}/?")

    return [(compile_path(template), item) for template, item in load_openapi()["paths"].items()]


def _resolve(response: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in response:
        found: dict[str, Any] = load_openapi()["components"]["responses"][response["$ref"].rpartition("/")[2]]
        return found
    return response
