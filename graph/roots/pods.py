"""Query's fields about pods, answered from the members' caches."""

import strawberry

from fleet.model.kinds import PODS
from fleet.model.objects import PodKey
from graph.enums import OnUnavailable
from graph.loading.context import Info
from graph.loading.listing import load_object, load_page
from graph.loading.maybe_await import map_value
from graph.types.fields import resolved
from graph.types.inputs import PodFilter, PodOrder, build_orders, build_page_request, pod_question
from graph.types.pod import Pod
from graph.types.pod_connection import PodConnection


@strawberry.type
class PodQueries:
    """`pods` and `pod`."""

    @resolved("Pods of all clusters you reach, 100 a page where `first` is left out, 10,000 at most.")
    def pods(
        self,
        info: Info,
        filter: PodFilter | None = None,  # noqa: A002 - the argument's name in the graph
        order_by: list[PodOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
        on_unavailable: OnUnavailable | None = OnUnavailable.PARTIAL,
    ) -> PodConnection:
        page = load_page(
            info,
            PODS,
            pod_question(filter),
            build_orders(order_by),
            build_page_request(first, after),
            on_unavailable or OnUnavailable.PARTIAL,
        )
        return map_value(page, PodConnection.from_model)

    @resolved("One pod; null where its cluster has none of that name.")
    async def pod(self, info: Info, cluster: str, namespace: str, name: str) -> Pod | None:
        return await load_object(info, PODS, PodKey(cluster, namespace, name), Pod.from_model)
