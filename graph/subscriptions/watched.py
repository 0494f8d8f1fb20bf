"""What of a subscription's selection is watched: an event is sent when one of these values differs from the last ones.

Left out is what is measured, asked of a member, or a list of other objects: it is read when an event is made.
"""

from collections.abc import Mapping
from typing import Any

from graphql import (
    REMOVE,
    DocumentNode,
    FieldNode,
    GraphQLResolveInfo,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    visit,
)
from msgspec import Struct

UNWATCHED: Mapping[str, frozenset[str]] = {
    "Pod": frozenset({"usage", "history", "events", "placements", "workload"}),
    "Node": frozenset({"usage", "history", "events", "podsAt", "pods", "requested"}),
    "Cluster": frozenset({"usage", "history", "nodes", "pods", "podCounts", "capacity", "allocatable", "requested"}),
    "Owner": frozenset({"resource"}),
    "Resource": frozenset({"events"}),
}
"""Fields by type that are no reason for an event."""

_EVENTS = frozenset({"PodEvent", "NodeEvent", "ClusterEvent", "ResourceEvent"})


class EventSelection(Struct, frozen=True):
    """An operation that is executed again and again.

    `watched` is the operation without what is not watched; the same object as `document` where all of it is.
    `root_key` is the response key of its one root field, `type_keys` those under which an event's type is selected.
    """

    document: DocumentNode
    watched: DocumentNode
    root_key: str
    type_keys: frozenset[str]

    @property
    def all_watched(self) -> bool:
        """Whether an object's values are all there is in an event."""
        return self.watched is self.document


def build_selection(info: GraphQLResolveInfo[Any]) -> EventSelection:
    """The selection of the subscription that `info` is the root field of."""
    document = DocumentNode(definitions=(info.operation, *info.fragments.values()))
    finder = _Finder(info.schema)
    watched = visit(document, TypeInfoVisitor(finder.types, finder))
    return EventSelection(
        document, watched if finder.removed else document, str(info.path.key), frozenset(finder.type_keys)
    )


class _Finder(Visitor):
    def __init__(self, schema: GraphQLSchema) -> None:
        super().__init__()
        self.types = TypeInfo(schema)
        self.type_keys: set[str] = set()
        self.removed = False

    def enter_field(self, node: FieldNode, *_: Any) -> Any:
        parent = self.types.get_parent_type()
        of, name = parent.name if parent is not None else "", node.name.value
        if of in _EVENTS and name == "type":
            self.type_keys.add(node.alias.value if node.alias is not None else name)
        if name in UNWATCHED.get(of, ()):
            self.removed = True
            return REMOVE
        return None
