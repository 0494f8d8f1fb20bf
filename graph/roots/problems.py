"""Query's field about what is wrong now, answered from memory."""

import strawberry

from graph.loading.context import Info
from graph.types.fields import resolved
from graph.types.inputs import ClusterSelector, build_page_request, parse_cluster_selector
from graph.types.problem import ProblemConnection, parse_place


@strawberry.type
class ProblemQueries:
    """`problems`."""

    @resolved(
        "What is wrong now in all clusters you reach, grouped by cause: pods, nodes and workloads that are not well, "
        "and clusters that do not answer, of which the last known state counts. 100 a page where `first` is left out."
    )
    async def problems(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        cluster_selector: ClusterSelector = None,
    ) -> ProblemConnection:
        request, behind = build_page_request(first, after), parse_place(after)  # before any work
        cluster_labels = parse_cluster_selector(cluster_selector)
        found = await info.context.federation.find_problems(info.context.scope, cluster_labels)
        return ProblemConnection.from_model(found, request.first, behind)
