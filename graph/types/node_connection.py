"""A page of nodes, both ways: `items`, and Relay's edges."""

from typing import Self, cast

import strawberry

from fleet.model import objects as models
from fleet.model.kinds import NODES
from fleet.model.ordered import LazySequence
from fleet.model.queries import Page
from graph.enums import NodeGroupField
from graph.loading.context import Info
from graph.loading.grouping import load_groups
from graph.loading.maybe_await import map_value
from graph.types.fields import resolved
from graph.types.group_orders import Labels, NodeGroupOrder, build_by, build_group_orders
from graph.types.groups import GROUPS, GroupedNodesConnection
from graph.types.inputs import build_page_request
from graph.types.node import Node
from graph.types.outcome import ClusterOutcome
from graph.types.page_info import PageInfo
from graph.types.views import Views


@strawberry.type(description="A node and its place in the order.")
class NodeEdge:
    """As Relay's connection specification has it."""

    cursor: str = strawberry.field(description="Opaque; the next page's `after`.")
    node: Node = strawberry.field(description="The node.")


@strawberry.type(description="A page of nodes over all clusters that answered.")
class NodeConnection:
    """A view of `Page[models.Node]`."""

    page: strawberry.Private[Page[models.Node]]
    total_count: int = strawberry.field(description="Nodes that pass the filter, in all clusters that answered.")

    @classmethod
    def from_model(cls, page: Page[models.Node]) -> Self:
        return cls(page=page, total_count=len(page.matched))

    @resolved("The page's nodes: the plain way to read it.", views=True)
    def items(self) -> list[Node]:
        return cast("list[Node]", Views(Node.from_model, self.page.items))

    @resolved("The page's nodes with their cursors: the Relay way to read it.")
    def edges(self) -> list[NodeEdge]:
        items, cursors = self.page.items, self.page.cursors

        def build(place: int) -> NodeEdge:
            return NodeEdge(cursor=cursors[place], node=Node.from_model(items[place]))

        return cast("list[NodeEdge]", LazySequence(build, range(len(items))))

    @resolved("Where the page is in the whole.")
    def page_info(self) -> PageInfo:
        return PageInfo.from_model(self.page)

    @resolved(GROUPS)
    def groups(
        self,
        info: Info,
        by: list[NodeGroupField] | None = None,
        labels: Labels = None,
        order_by: list[NodeGroupOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> GroupedNodesConnection:
        """Made in time slices. Raises InvalidQuery, MetricsUnavailable."""
        request = build_page_request(first, after)
        found = load_groups(info, NODES, self.page.matched, build_by(by, labels), build_group_orders(order_by), request)
        return map_value(found, GroupedNodesConnection.from_model)

    @resolved("How each cluster that was asked took part in this answer.")
    def clusters(self) -> list[ClusterOutcome]:
        return [ClusterOutcome.from_model(outcome) for outcome in self.page.outcomes]
