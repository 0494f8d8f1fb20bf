"""Kubernetes' own label and field selectors, parsed once and matched many times.

Source: apimachinery `pkg/labels/selector.go`, `pkg/fields/selector.go` and `pkg/util/validation`; what the API server
accepts in `labelSelector` and `fieldSelector` is accepted here, what it refuses is refused.
"""

import enum
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import Struct

from fleet.errors import InvalidQuery
from fleet.models import Node, Pairs, Pod

MAX_SELECTOR = 16_384

_TOKEN = re.compile(r"[ \t\r\n]*(?:(==|!=|[=!><(),])|([^ \t\r\n=!><(),]+)|$)")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[0-9]+")
_BIGGEST_INTEGER = 2**63 - 1


class Operator(enum.Enum):
    """How a label's value is held against a requirement's values."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    GREATER = ">"
    LESS = "<"


_OPERATORS = {
    "=": Operator.IN,
    "==": Operator.IN,
    "!=": Operator.NOT_IN,
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    ">": Operator.GREATER,
    "<": Operator.LESS,
}


class Requirement(Struct, frozen=True):
    """One term of a label selector; `=` is `in` with one value, `!=` is `notin` with one."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet this requirement. An object without the key meets `notin` and `!=`."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
        number, bound = _integer(value), _integer(next(iter(self.values)))
        if number is None or bound is None:
            return False
        return number > bound if self.operator is Operator.GREATER else number < bound


class LabelSelector(Struct, frozen=True):
    """A parsed label selector (equality and set based). Hashable and equal by its text."""

    text: str
    equal: Pairs
    others: tuple[Requirement, ...]

    def matches(self, labels: Pairs) -> bool:
        """Whether an object with these labels is selected."""
        for pair in self.equal:
            if pair not in labels:
                return False
        if not self.others:
            return True
        found = dict(labels)
        return all(requirement.matches(found) for requirement in self.others)

    def required_equal(self) -> Pairs:
        """Keys and values every selected object has: what an index can answer."""
        return self.equal


class FieldTerm(Struct, frozen=True):
    """One term of a field selector. `read` gives the field of a record as the API server's text of it."""

    field: str
    equal: bool
    value: str
    read: Callable[[Pod | Node], str]


class FieldSelector(Struct, frozen=True):
    """A parsed field selector (`=`, `==`, `!=`, joined by commas) over fields the API server supports for the kind."""

    text: str
    terms: tuple[FieldTerm, ...]

    def matches(self, record: Pod | Node) -> bool:
        """Whether the record is selected."""
        return all((term.read(record) == term.value) == term.equal for term in self.terms)

    def required_equal(self) -> Pairs:
        """Fields and values every selected record has: what an index can answer."""
        return tuple((term.field, term.value) for term in self.terms if term.equal)


def parse_label_selector(text: str) -> LabelSelector:
    """Parses `app=web,tier in (a,b),!legacy`. Raises InvalidQuery that names the place and what would be right."""
    requirements = _LabelParser(text).parse()
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


class _Token(NamedTuple):
    text: str
    position: int
    word: bool


class _LabelParser:
    """Recursive descent over the tokens of a label selector; `in` and `notin` are words wherever a word can stand."""

    def __init__(self, text: str) -> None:
        _check_length(text, "label selector")
        self._text = text
        self._tokens = self._scan()
        self._next = 0

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        if not self._peek().text:
            return requirements
        while True:
            requirements.append(self._requirement())
            token = self._take()
            if not token.text:
                return requirements
            if token.text != ",":
                raise self._wrong(token, "',' or the end")

    def _scan(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while (match := _TOKEN.match(self._text, at)) and match.lastindex:
            group = match.lastindex
            tokens.append(_Token(match[group], match.start(group), group == 2))
            at = match.end()
        tokens.append(_Token("", len(self._text), word=False))
        return tokens

    def _requirement(self) -> Requirement:
        absent = self._peek().text == "!"
        if absent:
            self._take()
        token = self._take()
        if not token.word:
            raise self._wrong(token, "a label key" if absent else "a label key or '!'")
        _check_key(token)
        if absent:
            return Requirement(token.text, Operator.DOES_NOT_EXIST)
        if self._peek().text in ("", ","):
            return Requirement(token.text, Operator.EXISTS)
        return self._comparison(token.text)

    def _comparison(self, key: str) -> Requirement:
        token = self._take()
        operator = _OPERATORS.get(token.text)
        if operator is None:
            raise self._wrong(token, "one of = == != > < in notin")
        values = self._set() if token.word else (self._value(),)
        for value in values:
            _check_value(value)
        if operator in (Operator.GREATER, Operator.LESS) and _integer(values[0].text) is None:
            raise self._wrong(values[0], f"an integer after '{token.text}'")
        return Requirement(key, operator, frozenset(value.text for value in values))

    def _value(self) -> _Token:
        if self._peek().text in ("", ","):
            return _Token("", self._peek().position, word=True)
        token = self._take()
        if not token.word:
            raise self._wrong(token, "a value")
        return token

    def _set(self) -> tuple[_Token, ...]:
        token = self._take()
        if token.text != "(":
            raise self._wrong(token, "'('")
        values: list[_Token] = []
        while True:
            token = self._peek()
            values.append(self._take() if token.word else _Token("", token.position, word=True))
            token = self._take()
            if token.text == ")":
                return tuple(values)
            if token.text != ",":
                raise self._wrong(token, "',' or ')'" if values[-1].text else "a value, ',' or ')'")

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _wrong(self, token: _Token, expected: str) -> InvalidQuery:
        found = f"'{token.text[:40]}'" if token.text else "the end"
        return InvalidQuery(f"label selector, character {token.position + 1}: found {found}, expected {expected}")


def _check_length(text: str, what: str) -> None:
    if len(text) > MAX_SELECTOR:
        raise InvalidQuery(f"{what}: {len(text)} characters, {MAX_SELECTOR} at most are accepted")


def _check_key(token: _Token) -> None:
    prefix, slash, name = token.text.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        reason = "before the '/' must stand a lower-case DNS name of at most 253 characters"
    elif len(name) > 63 or not _NAME.fullmatch(name):
        reason = "the name must be 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends"
    else:
        return
    raise InvalidQuery(f"label selector, character {token.position + 1}: {token.text[:80]!r} is no label key: {reason}")


def _check_value(token: _Token) -> None:
    if token.text and (len(token.text) > 63 or not _NAME.fullmatch(token.text)):
        raise InvalidQuery(
            f"label selector, character {token.position + 1}: {token.text[:80]!r} is no label value: it must be "
            "empty or at most 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends"
        )


def _integer(text: str | None) -> int | None:
    """A label value as the signed 64-bit number the API server takes it for."""
    if text is None or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if number <= _BIGGEST_INTEGER else None


def _of_pod(read: Callable[[Pod], str]) -> Callable[[Pod | Node], str]:
    def read_pod(record: Pod | Node) -> str:
        return read(record) if isinstance(record, Pod) else ""

    return read_pod


def _of_node(read: Callable[[Node], str]) -> Callable[[Pod | Node], str]:
    def read_node(record: Pod | Node) -> str:
        return read(record) if isinstance(record, Node) else ""

    return read_node


_POD_FIELDS = {
    "metadata.name": _of_pod(lambda pod: pod.name),
    "metadata.namespace": _of_pod(lambda pod: pod.namespace),
    "spec.nodeName": _of_pod(lambda pod: pod.node_name or ""),
    "spec.restartPolicy": _of_pod(lambda pod: pod.restart_policy),
    "spec.schedulerName": _of_pod(lambda pod: pod.scheduler_name),
    "spec.serviceAccountName": _of_pod(lambda pod: pod.service_account),
    "status.phase": _of_pod(lambda pod: pod.phase.value),
    "status.podIP": _of_pod(lambda pod: pod.pod_ip or ""),
}

_NODE_FIELDS = {
    "metadata.name": _of_node(lambda node: node.name),
    "spec.unschedulable": _of_node(lambda node: "true" if node.unschedulable else "false"),
}


def _parse_fields(text: str, fields: Mapping[str, Callable[[Pod | Node], str]], kind: str) -> FieldSelector:
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
