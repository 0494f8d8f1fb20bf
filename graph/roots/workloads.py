"""Query's field about workloads, answered from the members' caches."""

import strawberry

from fleet.model.kinds import WORKLOADS
from graph.enums import OnUnavailable
from graph.loading.context import Info
from graph.loading.listing import load_page
from graph.loading.maybe_await import map_value
from graph.types.fields import resolved
from graph.types.inputs import WorkloadFilter, WorkloadOrder, build_orders, build_page_request, workload_question
from graph.types.workload_connection import WorkloadConnection


@strawberry.type
class WorkloadQueries:
    """`workloads`."""

    @resolved(
        "What runs pods, in all clusters you reach, 100 a page where `first` is left out, 10,000 at most: Deployments, "
        "StatefulSets, DaemonSets, Jobs, CronJobs, and whatever else pods name as their controller."
    )
    def workloads(
        self,
        info: Info,
        filter: WorkloadFilter | None = None,  # noqa: A002 - the argument's name in the graph
        order_by: list[WorkloadOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
        on_unavailable: OnUnavailable | None = OnUnavailable.PARTIAL,
    ) -> WorkloadConnection:
        page = load_page(
            info,
            WORKLOADS,
            workload_question(filter),
            build_orders(order_by),
            build_page_request(first, after),
            on_unavailable or OnUnavailable.PARTIAL,
        )
        return map_value(page, WorkloadConnection.from_model)
