"""The `extensions` of a request and of its answer: what a client may ask for beside the data, and where it is put.

A request asks by a header or by its own `extensions`; the latter outrank the header, which a client may send with
everything. Names that are not known here are left alone, as the GraphQL over HTTP specification has it.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from fleet.model.errors import InvalidQuery

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | float | bool | None"
"""A value that can stand in an answer. `int` is a `float` to the type checker."""

AnswerExtensions: TypeAlias = dict[str, JSON]
"""What an answer's `extensions` will be; empty: there are none. Whoever knows a part writes it, at any time."""

_WORDS = {"true": True, "false": False}


class Asked(Struct, frozen=True):
    """What a request asks for beside the data."""

    explain: bool = False
    """`X-Explain` or `extensions.explain`: what the answer took."""

    cost: bool = False
    """`X-Cost` or `extensions.cost`: what the operation is estimated to cost."""


def read_asked(headers: Mapping[str, str], given: Mapping[str, object] | None) -> Asked:
    """What the headers and the request's `extensions` ask for. Raises InvalidQuery."""
    return Asked(explain=_read_flag("explain", headers, given), cost=_read_flag("cost", headers, given))


def _read_flag(name: str, headers: Mapping[str, str], given: Mapping[str, object] | None) -> bool:
    value = (given or {}).get(name)
    if isinstance(value, bool):
        return value
    if value is not None:
        raise InvalidQuery(f"`extensions.{name}` is true or false")
    text = headers.get(f"x-{name}")
    if text is None:
        return False
    flag = _WORDS.get(text.strip().lower())
    if flag is None:
        raise InvalidQuery(f"the header X-{name.capitalize()} is true or false")
    return flag
