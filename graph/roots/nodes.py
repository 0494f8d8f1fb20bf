"""Query's fields about nodes, answered from the members' caches."""

import strawberry

from fleet.model.kinds import NODES
from fleet.model.objects import NodeKey
from graph.enums import OnUnavailable
from graph.loading.context import Info
from graph.loading.listing import load_object, load_page
from graph.loading.maybe_await import map_value
from graph.types.fields import resolved
from graph.types.inputs import NodeFilter, NodeOrder, build_orders, build_page_request, node_question
from graph.types.node import Node
from graph.types.node_connection import NodeConnection


@strawberry.type
class NodeQueries:
    """`nodes` and `node`."""

    @resolved("Nodes of all clusters you reach, 100 a page where `first` is left out, 10,000 at most.")
    def nodes(
        self,
        info: Info,
        filter: NodeFilter | None = None,  # noqa: A002 - the argument's name in the graph
        order_by: list[NodeOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
        on_unavailable: OnUnavailable | None = OnUnavailable.PARTIAL,
    ) -> NodeConnection:
        page = load_page(
            info,
            NODES,
            node_question(filter),
            build_orders(order_by),
            build_page_request(first, after),
            on_unavailable or OnUnavailable.PARTIAL,
        )
        return map_value(page, NodeConnection.from_model)

    @resolved("One node; null where its cluster has none of that name.")
    async def node(self, info: Info, cluster: str, name: str) -> Node | None:
        return await load_object(info, NODES, NodeKey(cluster, name), Node.from_model)
