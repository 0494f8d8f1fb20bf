"""Which objects a list or a watch is about: namespace, label selector, field selector."""

from collections.abc import Mapping

from msgspec import Struct

from demo.simulator.kinds import Kind
from demo.simulator.status import build_bad_request
from demo.simulator.store import Entry
from fleet.model.errors import InvalidQuery
from fleet.model.selectors import LabelSelector, parse_label_selector


class FieldTerm(Struct, frozen=True):
    """One `path=value` or `path!=value`; `index` is the path's place in the kind's fields."""

    index: int
    value: str
    equal: bool


class Selection(Struct, frozen=True):
    """What is selected. None and empty mean no bound."""

    namespace: str | None
    labels: LabelSelector | None
    fields: tuple[FieldTerm, ...]

    @property
    def by_selector(self) -> bool:
        """Whether labels or fields bound it; then a list's answer leaves remainingItemCount out."""
        return self.labels is not None or bool(self.fields)

    def matches(self, entry: Entry) -> bool:
        return (
            (self.namespace is None or entry.namespace == self.namespace)
            and all((entry.values[term.index] == term.value) == term.equal for term in self.fields)
            and (self.labels is None or self.labels.matches(entry.labels))
        )


def parse_selection(kind: Kind, namespace: str | None, query: Mapping[str, str]) -> Selection:
    """Reads `labelSelector` and `fieldSelector`. Raises ApiError 400 as the real server words it."""
    labels_text = query.get("labelSelector", "")
    fields_text = query.get("fieldSelector", "")
    try:
        labels = parse_label_selector(labels_text) if labels_text else None
    except InvalidQuery as error:
        raise build_bad_request(f"unable to parse requirement: {error}") from error
    terms = tuple(_parse_term(kind, text, labels_text, fields_text) for text in _split_terms(fields_text))
    return Selection(namespace, labels, terms)


def _split_terms(text: str) -> list[str]:
    """Cuts at commas that no backslash escapes."""
    terms, current, escaped = [], "", False
    for character in text:
        if character == "," and not escaped:
            terms.append(current)
            current = ""
        else:
            current += character
        escaped = character == "\\" and not escaped
    return [term for term in (*terms, current) if term]


def _parse_term(kind: Kind, term: str, labels_text: str, fields_text: str) -> FieldTerm:
    for operator in ("!=", "==", "="):
        path, found, value = term.partition(operator)
        if found:
            break
    else:
        raise build_bad_request(f"invalid selector: '{fields_text}'; can't understand '{term}'")
    if path not in kind.fields:
        raise build_bad_request(
            f'Unable to find "{kind.group}/{kind.version}, Resource={kind.plural}" that match label selector '
            f'"{labels_text}", field selector "{fields_text}": field label not supported: {path}'
        )
    return FieldTerm(kind.fields.index(path), _unescape(value), operator != "!=")


def _unescape(value: str) -> str:
    return value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\")
