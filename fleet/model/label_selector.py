"""The grammar of label selectors: from text to requirements.

Source: apimachinery `pkg/labels/selector.go` and, for keys and values, `pkg/util/validation`.
"""

import enum
import re
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from fleet.model.errors import InvalidQuery

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


def parse_requirements(text: str) -> list[Requirement]:
    """The terms of a label selector, all of which must hold. Raises InvalidQuery that names the place."""
    return _LabelParser(text).parse()


class _Token(NamedTuple):
    text: str
    position: int
    word: bool


class _LabelParser:
    """Recursive descent over the tokens of a label selector; `in` and `notin` are words wherever a word can stand."""

    def __init__(self, text: str) -> None:
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


def find_key_mistake(key: str) -> str | None:
    """What is wrong with a label's key, None where nothing is."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return "before the '/' must stand a lower-case DNS name of at most 253 characters"
    if len(name) > 63 or not _NAME.fullmatch(name):
        return "the name must be 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends"
    return None


def _check_key(token: _Token) -> None:
    if reason := find_key_mistake(token.text):
        at = token.position + 1
        raise InvalidQuery(f"label selector, character {at}: {token.text[:80]!r} is no label key: {reason}")


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
