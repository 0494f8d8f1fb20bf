"""All that is raised for text and bytes of others that are not what they should be, so that none gets by."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

UNREADABLE = (ValueError, RecursionError)
"""Of decoders of JSON, MessagePack and text: wrong forms and wrong UTF-8 are ValueErrors, msgspec's too; and depth."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(content: bytes | str) -> Any:
    """The one document. Raises yaml.YAMLError."""
    with raising_yaml_errors():
        return yaml.load(content, Loader=_LOADER)  # noqa: S506 - the safe loader, in C where there is one


@contextmanager
def raising_yaml_errors() -> Iterator[None]:
    """PyYAML's constructors raise whatever they stumble over (`!!bool x` is a KeyError): here it is a YAMLError."""
    try:
        yield
    except (*UNREADABLE, LookupError, TypeError, AttributeError) as error:
        raise yaml.MarkedYAMLError(problem="a value does not fit its tag or its place") from error
