"""YAML as kubectl's parser reads it: another would see text where it sees a number, or a date where it sees text.

Source: goyaml v2 in sigs.k8s.io/yaml (`resolve.go`). There `y` and `1e3` are no texts, `2030-01-01` and `1:30` are.
Only the first document counts, and a local tag (`!mine`) is looked past. Keys become texts, as in JSON: `y` is `true`.
"""

import json
import re
from typing import Any

import yaml

from fleet.model.unreadable import raising_yaml_errors

_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DIGITS = "-+.0123456789"
# The tag that PyYAML constructs, what a plain scalar looks like, and the characters it may begin with.
_PLAIN = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"y|Y|n|N|(?i:yes|no|on|off|true|false)", list("yYnNoOtTfF")),
    ("merge", r"<<", ["<"]),
    ("int", r"[-+]?(?:0[xX][0-9a-fA-F_]+|0o?[0-7_]+|0b[01_]+|[0-9][0-9_]*)", list(_DIGITS)),
    ("float", r"[-+]?(?:\.?[0-9][0-9_]*|[0-9][0-9_]*\.[0-9_]*)(?:[eE][-+]?[0-9]+)?", list(_DIGITS)),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list(_DIGITS)),
)


class _Loader(_FAST):  # type: ignore[misc, valid-type]  # a base that depends on how PyYAML was built
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way
    bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}  # noqa: RUF012 - likewise

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        return {_as_text(key, node): value for key, value in super().construct_mapping(node, deep).items()}


def _as_text(key: Any, node: yaml.MappingNode) -> str:
    if key is None:
        raise yaml.constructor.ConstructorError(None, None, "null is no key", node.start_mark)
    return key if isinstance(key, str) else json.dumps(key)


def _construct_binary(loader: Any, node: Any) -> str:
    return str(yaml.SafeLoader.construct_yaml_binary(loader, node).decode())


def _construct_untagged(loader: Any, _tag: str, node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else str(node.value)


for _tag, _pattern, _first in _PLAIN:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first)
_Loader.add_constructor("tag:yaml.org,2002:binary", _construct_binary)
_Loader.add_multi_constructor("!", _construct_untagged)


def load_first_document(content: bytes) -> Any:
    """The first document, None where it is empty. Raises yaml.YAMLError."""
    with raising_yaml_errors():
        loader = _Loader(content)
        loader.deep_construct = True  # what holds itself is refused
        try:
            return loader.get_data() if loader.check_data() else None
        finally:
            loader.dispose()
