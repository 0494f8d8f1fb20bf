"""Texts of queries: selectors of series by the names of metrics, clusters and objects. Pure.

Source: "Querying Prometheus: basics". A regular expression is RE2's and anchored by the server.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

K = TypeVar("K")

_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\0": "\\x00"})

VIRTUAL = "lo|(veth|cali|cni|cbr|docker|br-|flannel|tunl|vxlan|lxc|cilium|kube-|nodelocaldns|dummy).*"
"""Devices of a network that carry what another device carries as well."""


def quote(text: str) -> str:
    """A string of PromQL."""
    return f'"{text.encode(errors="replace").decode().translate(_ESCAPED)}"'


def match(label: str, values: Collection[str], suffix: str = "") -> str:
    """A matcher of a label that has one of these values, each with what matches the expression `suffix` behind it."""
    if len(values) == 1 and not suffix:
        return f"{label}={quote(next(iter(values)))}"
    literals = "|".join(_META.sub(r"\\\g<0>", value) for value in sorted(values))
    return f"{label}=~{quote(f'(?:{literals}){suffix}' if suffix else literals)}"


def select(names: Sequence[str], matchers: Iterable[str]) -> str:
    """A selector of the series of these names that all matchers match."""
    return f"{{{','.join([match('__name__', names), *(matcher for matcher in matchers if matcher)])}}}"


def split(keys: Iterable[K], build: Callable[[list[K]], str], most_bytes: int) -> Iterator[str]:
    """The texts of as few queries as hold all keys, each of at most so many bytes, or of a single key."""
    ordered = sorted(keys)  # type: ignore[type-var]  # keys are tuples of texts
    pending = [ordered] if ordered else []
    while pending:
        some = pending.pop()
        text = build(some)
        size = len(text.encode())
        if size <= most_bytes or len(some) == 1:
            yield text
            continue
        parts = min(len(some), -(-size // most_bytes))
        length = -(-len(some) // parts)
        pending += [some[begin : begin + length] for begin in range(0, len(some), length)]
