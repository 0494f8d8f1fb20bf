"""Kubernetes' own label and field selectors, parsed once and matched many times.

Source: apimachinery `pkg/labels/selector.go`, `pkg/fields/selector.go` and `pkg/util/validation`; what the API server
accepts in `labelSelector` and `fieldSelector` is accepted here, what it refuses is refused.
"""

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from msgspec import Struct

from fleet.model.errors import InvalidQuery
from fleet.model.label_selector import Operator, Requirement, parse_requirements
from fleet.model.objects import Node, Pairs, Pod, T

MAX_SELECTOR = 16_384


class LabelSelector(Struct, frozen=True):
    """A parsed label selector (equality and set based). Hashable and equal by its text."""

    text: str
    equal: Pairs
    others: tuple[Requirement, ...]

    def matches(self, labels: Pairs) -> bool:
        for pair in self.equal:
            if pair not in labels:
                return False
        if not self.others:
            return True
        found = dict(labels)
        return all(requirement.matches(found) for requirement in self.others)


class FieldTerm(Struct, frozen=True):
    """One term of a field selector. `read` gives the field of a record as the API server's text of it."""

    field: str
    equal: bool
    value: str
    read: Callable[[Any], str]


class FieldSelector(Struct, frozen=True):
    """A parsed field selector (`=`, `==`, `!=`, joined by commas) over fields the API server supports for the kind."""

    text: str
    terms: tuple[FieldTerm, ...]

    def matches(self, record: Any) -> bool:
        return all((term.read(record) == term.value) == term.equal for term in self.terms)

    def required_equal(self) -> Pairs:
        """Fields and values every selected record has: what an index can answer."""
        return tuple((term.field, term.value) for term in self.terms if term.equal)


def parse_label_selector(text: str) -> LabelSelector:
    """Parses `app=web,tier in (a,b),!legacy`. Raises InvalidQuery that names the place and what would be right."""
    _check_length(text, "label selector")
    requirements = parse_requirements(text)
    equal = tuple(
        (entry.key, next(iter(entry.values)))
        for entry in requirements
        if entry.operator is Operator.IN and len(entry.values) == 1
    )
    others = tuple(entry for entry in requirements if entry.operator is not Operator.IN or len(entry.values) != 1)
    return LabelSelector(text, equal, others)


def parse_pod_field_selector(text: str) -> FieldSelector:
    """Parses `spec.nodeName=n1,status.phase!=Running`. Raises InvalidQuery that lists the supported fields."""
    return _parse_fields(text, _POD_FIELDS, "pods")


def parse_node_field_selector(text: str) -> FieldSelector:
    """Parses `metadata.name=n1,spec.unschedulable=true`. Raises InvalidQuery that lists the supported fields."""
    return _parse_fields(text, _NODE_FIELDS, "nodes")


def parse_object_field_selector(text: str) -> FieldSelector:
    """As above, of the fields that objects of all kinds have."""
    return _parse_fields(text, _OBJECT_FIELDS, "objects that are followed")


def _check_length(text: str, what: str) -> None:
    if len(text) > MAX_SELECTOR:
        raise InvalidQuery(f"{what}: {len(text)} characters, {MAX_SELECTOR} at most are accepted")


def _of(kind: type[T], read: Callable[[T], str]) -> Callable[[object], str]:
    return lambda record: read(record) if isinstance(record, kind) else ""


_POD_FIELDS = {
    "metadata.name": _of(Pod, lambda pod: pod.name),
    "metadata.namespace": _of(Pod, lambda pod: pod.namespace),
    "spec.nodeName": _of(Pod, lambda pod: pod.node_name or ""),
    "spec.restartPolicy": _of(Pod, lambda pod: pod.restart_policy),
    "spec.schedulerName": _of(Pod, lambda pod: pod.scheduler_name),
    "spec.serviceAccountName": _of(Pod, lambda pod: pod.service_account),
    "status.phase": _of(Pod, lambda pod: pod.phase.value),
    "status.podIP": _of(Pod, lambda pod: pod.pod_ip or ""),
}

_NODE_FIELDS = {
    "metadata.name": _of(Node, lambda node: node.name),
    "spec.unschedulable": _of(Node, lambda node: "true" if node.unschedulable else "false"),
}


_OBJECT_FIELDS: Mapping[str, Callable[[Any], str]] = {
    "metadata.name": attrgetter("name"),
    "metadata.namespace": attrgetter("namespace"),
}


def _parse_fields(text: str, fields: Mapping[str, Callable[[Any], str]], kind: str) -> FieldSelector:
    _check_length(text, "field selector")
    terms: list[FieldTerm] = []
    for start, term in _split_terms(text):
        field, operator, raw = _split_term(start, term)
        if field not in fields:
            raise InvalidQuery(
                f"field selector, character {start + 1}: {kind} can't be selected by {field[:80]!r}; "
                f"supported: {', '.join(fields)}"
            )
        value = _unescape(raw, start + len(field) + len(operator))
        terms.append(FieldTerm(field, operator != "!=", value, fields[field]))
    return FieldSelector(text, tuple(terms))


def _split_terms(text: str) -> list[tuple[int, str]]:
    """Terms with their places; commas behind a backslash are data, empty terms are none."""
    pieces = [(match.start(), match[0]) for match in re.finditer(r"(?:[^\\,]|\\.?)+", text, re.DOTALL)]
    return [(start, piece) for start, piece in pieces if piece]


def _split_term(start: int, term: str) -> tuple[str, str, str]:
    match = re.search(r"!=|==|=", term)
    if match is None:
        raise InvalidQuery(
            f"field selector, character {start + 1}: {term[:80]!r} holds no operator, "
            "expected FIELD=VALUE or FIELD!=VALUE"
        )
    return term[: match.start()], match[0], term[match.end() :]


def _unescape(raw: str, start: int) -> str:
    def place(match: re.Match[str]) -> str:
        if match[0] not in ("\\\\", "\\,", "\\="):
            raise InvalidQuery(
                f"field selector, character {start + match.start() + 1}: found '{match[0]}', expected one of "
                r"'\\', '\,' and '\=' for these characters in a value"
            )
        return match[0][1]

    return re.sub(r"\\.?|[=,]", place, raw, flags=re.DOTALL)
