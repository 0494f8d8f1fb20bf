"""What is called what in the shared state: a member's stream, and in it a subject for each object.

Names become tokens of letters, digits, `_` and `-`: every other byte of them is `=` and two hexadecimal digits, and a
name that is empty is `=`. So every name is one token, and can be read back. Source: https://docs.nats.io,
"Subject-Based Messaging"; `.`, `*`, `>` and blanks mean something there, and in names of streams.
"""

import re
from hashlib import blake2b
from typing import get_args

from fleet.cache.rows import StoreKey
from fleet.model.kinds import ResourceName

_NOTHING = "="
_LONGEST_SUBJECT = 2_048
"""Of the 4,096 bytes that a server reads of a line with a subject; names of API servers make no more than 1,100."""
_LONGEST_STREAM = 200
"""A stream's name is a folder's."""

_is_plain = re.compile(r"[A-Za-z0-9_-]+").fullmatch
_ODD = re.compile(rb"[^A-Za-z0-9_-]")
_CODED = re.compile(rb"=([0-9A-F]{2})")
_KINDS: dict[str, ResourceName] = {kind: kind for kind in get_args(ResourceName)}


class Unpublishable(ValueError):
    """An object that has no place in the shared state: no API server serves one that is so. The message says why."""


def token(text: str) -> str:
    """A name as a part of a subject, of a stream's name, and of a key in a bucket."""
    if _is_plain(text):
        return text
    if not text:
        return _NOTHING
    return _ODD.sub(lambda found: b"=%02X" % ord(found[0]), text.encode("utf-8", "surrogatepass")).decode()


def text_of(written: str) -> str:
    """The name again. Raises ValueError for what `token` did not make."""
    if "=" not in written:
        return written
    if written == _NOTHING:
        return ""
    text = _CODED.sub(lambda found: bytes((int(found[1], 16),)), written.encode()).decode("utf-8", "surrogatepass")
    if token(text) != written:
        raise ValueError(f"{written[:100]!r} is not the token of a name")
    return text


class Subjects:
    """Those of one member. `all` stands for everything in its stream."""

    def __init__(self, prefix: str, cluster: str) -> None:
        named = token(cluster)
        if len(named) > _LONGEST_STREAM:
            named = f"=={blake2b(cluster.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
        self._base = f"{prefix}.{named}."
        self._heads = {kind: f"{self._base}{kind}." for kind in _KINDS}
        self.stream = f"{prefix}-{named}"
        self.all = f"{self._base}>"
        self.mark = f"{self._base}mark"

    def usage(self, chunk: int) -> str:
        return f"{self._base}usage.{chunk}"

    def of(self, kind: ResourceName, key: StoreKey) -> str:
        """Of one object, by its key in the store of its kind. Raises Unpublishable."""
        namespace, name = key
        subject = f"{self._heads[kind]}{token(namespace)}.{token(name)}"
        if len(subject) > _LONGEST_SUBJECT:
            raise Unpublishable(f"{kind} {namespace[:100]}/{name[:100]}... has a name of more than 253 characters")
        return subject

    def parse(self, subject: str) -> tuple[ResourceName, StoreKey] | None:
        """Which object a subject is of; None where it is of none, or of another member."""
        if not subject.startswith(self._base):
            return None
        kind, *names = subject[len(self._base) :].split(".")
        if kind not in _KINDS or len(names) != 2:
            return None
        try:
            return _KINDS[kind], (text_of(names[0]), text_of(names[1]))
        except ValueError:
            return None
