"""Questions about objects of any kind, and their pages.

The order is by cluster, then as the API server keeps them: by `namespace/name`. A page is therefore a place in one
cluster, and its cursor holds that place: the continue token of the member's chunk and the object it stopped at.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from fleet.model.errors import InvalidQuery
from fleet.model.kube_objects import KubeObject
from fleet.model.objects import Outcome
from fleet.model.queries import ClusterFilter, NameFilter

CURSOR_VERSION = 1
MAX_CURSOR = 8_192
MAX_TOKEN = 4_096


class ResourceFilter(ClusterFilter, frozen=True):
    """Which objects. None means no bound; an empty set matches nothing. Selectors of objects are members', as text."""

    namespaces: frozenset[str] | None = None
    name: NameFilter | None = None
    label_selector: str | None = None
    field_selector: str | None = None


class ResourceQuestion(Struct, frozen=True):
    """A kind and which of its objects."""

    api_version: str
    kind: str
    filter: ResourceFilter = ResourceFilter()

    @property
    def digest(self) -> str:
        """Ties a cursor to the question it came from."""
        return hashlib.blake2s(msgspec.json.encode(self, order="deterministic"), digest_size=8).hexdigest()


class Place(NamedTuple):
    """A place in a cluster's list. `part` is the namespace that is listed, empty where all are in one list.

    `token` is the member's continue token of a chunk, empty for the first; `after` is the `namespace/name` of an
    object in that chunk or before it.
    """

    cluster: str
    part: str
    token: str
    after: str


class ResourcePage(Struct, frozen=True):
    """A page over all clusters that answered; `cursors[i]` belongs to `objects[i]`."""

    objects: tuple[KubeObject, ...]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    outcomes: tuple[Outcome, ...]


def order_key(item: KubeObject) -> str:
    """Sorts the objects of one cluster as the API server's own lists do."""
    return f"{item.namespace}/{item.name}" if item.namespace else item.name


def build_cursor(question: ResourceQuestion, place: Place) -> str:
    """The cursor of a place in the answer to a question."""
    body = msgspec.json.encode((CURSOR_VERSION, question.digest, place))
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def parse_cursor(question: ResourceQuestion, cursor: str) -> Place:
    """The place a cursor names. Raises InvalidQuery for one of another question or version, and for garbage."""
    foreign = InvalidQuery("the cursor is not one that this server gave out")
    if len(cursor) > MAX_CURSOR:
        raise foreign
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        version, digest, place = msgspec.json.decode(body, type=tuple[int, str, Place])
    except (binascii.Error, ValueError) as error:  # msgspec's errors and non-ASCII text are ValueErrors
        raise foreign from error
    if version != CURSOR_VERSION or digest != question.digest:
        raise InvalidQuery("the cursor belongs to another question: page on with the one it came from, or start anew")
    return place
