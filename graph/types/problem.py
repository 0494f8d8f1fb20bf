"""What is wrong now: a view of a group of objects that are not well for one cause."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from fleet.model import objects, problems
from fleet.model.errors import InvalidQuery
from fleet.model.told import told_to
from fleet.model.workloads import Workload as WorkloadModel
from fleet.reads.paging import Values, pack_cursor, unpack_cursor
from fleet.reads.problems import DEFAULT_EXAMPLES, MAX_EXAMPLES, order_of
from graph.enums import ProblemCause, ProblemSeverity
from graph.loading.context import Info
from graph.scalars import DateTime
from graph.types.cluster_views import cluster_of
from graph.types.common import Object
from graph.types.fields import of_model, resolved
from graph.types.node import Node
from graph.types.outcome import ClusterOutcome
from graph.types.page_info import PageInfo
from graph.types.pod import Pod
from graph.types.views import PureView
from graph.types.workload import Workload

if TYPE_CHECKING:
    from graph.types.cluster import Cluster

_SPEC = "problems"


def parse_place(cursor: str | None) -> Values | None:
    """Where a page ended. Raises InvalidQuery for a cursor that is none."""
    if cursor is None:
        return None
    place = unpack_cursor(_SPEC, cursor)
    if [type(value) for value in place] != [int, int, int, str]:
        raise InvalidQuery("the cursor is not one that this server gave out")
    return place


@strawberry.type(description="An object that is not well.")
class ProblemExample(PureView[problems.ProblemExample]):
    """A view of `problems.ProblemExample`."""

    model: strawberry.Private[problems.ProblemExample]
    kind: str = of_model("Its kind: Pod, Node, Cluster, or that of a workload.")
    name: str = of_model("Its name.")
    since: DateTime | None = of_model("Since when; null where nobody says.")

    @resolved("What it says itself.", shared_by=("cluster", "message"))
    def message(self, info: Info) -> str | None:
        return told_to(info.context.scope, self.model.message)

    @resolved("Its namespace; null for a cluster and for an object of the whole cluster.")
    def namespace(self) -> str | None:
        return self.model.namespace or None

    @resolved("The cluster it is, or is in.", shared_by=("cluster",))
    def cluster(self, info: Info) -> Annotated["Cluster", strawberry.lazy("graph.types.cluster")]:
        return cluster_of(info, self.model.cluster)

    @resolved("The object itself, a Pod, a Node or a Workload, as it was when it was found; null for a cluster.")
    def object(self) -> Object | None:
        match self.model.model:
            case objects.Pod() as pod:
                return Pod.from_model(pod)
            case objects.Node() as node:
                return Node.from_model(node)
            case WorkloadModel() as workload:
                return Workload.from_model(workload)
        return None


@strawberry.type(description="Objects that are not well, of one cause and reason, over all clusters.")
class Problem(PureView[problems.Problem]):
    """A view of `problems.Problem`."""

    model: strawberry.Private[problems.Problem]
    cause: ProblemCause = of_model("What it is.")
    severity: ProblemSeverity = of_model("How much it matters.")
    title: str = of_model("The cause in plain words.")
    reason: str = of_model("What tells it from other problems of its cause: a status, a condition, what is scarce.")
    count: int = of_model("How many objects have it.")
    clusters: list[str] = of_model("Names of the clusters these are in.")
    namespaces: list[str] = of_model("Names of the namespaces these are in.")
    since: DateTime | None = of_model("Since when the first of them has it; null where none of them says.")

    @resolved(f"Objects to look at, {MAX_EXAMPLES} at most, those first that have it for longest.")
    def examples(self, first: int | None = DEFAULT_EXAMPLES) -> list[ProblemExample]:
        """Raises InvalidQuery."""
        first = DEFAULT_EXAMPLES if first is None else first
        if not 0 <= first <= MAX_EXAMPLES:
            raise InvalidQuery(f"`first` is 0 at least and {MAX_EXAMPLES} at most, not {first}")
        return list(map(ProblemExample.from_model, self.model.examples[:first]))


@strawberry.type(description="A page of problems, the gravest first, then those of most objects.")
class ProblemConnection:
    """A page of `problems.Problems`."""

    model: strawberry.Private[problems.Problems]
    page: strawberry.Private[Sequence[problems.Problem]]
    page_info: PageInfo = strawberry.field(description="Where the page is in the whole.")
    total_count: int = strawberry.field(description="Problems in all.")

    @classmethod
    def from_model(cls, model: problems.Problems, first: int, behind: Values | None) -> Self:
        """Those `behind` the place that a cursor held (`parse_place`), all for None."""
        found = model.found
        if behind is not None:
            found = [problem for problem in found if order_of(problem) > behind]
        page = found[:first]
        ends = [pack_cursor(_SPEC, order_of(problem)) for problem in (*page[:1], *page[-1:])]
        return cls(
            model=model,
            page=page,
            total_count=len(model.found),
            page_info=PageInfo(
                has_next_page=len(found) > len(page),
                has_previous_page=len(found) < len(model.found),
                start_cursor=ends[0] if ends else None,
                end_cursor=ends[-1] if ends else None,
            ),
        )

    @resolved("The page's problems.")
    def items(self) -> list[Problem]:
        return list(map(Problem.from_model, self.page))

    @resolved("How each cluster that was asked took part in this answer.")
    def clusters(self) -> list[ClusterOutcome]:
        return [ClusterOutcome.from_model(outcome) for outcome in self.model.outcomes]
