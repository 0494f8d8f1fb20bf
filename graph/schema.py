"""The schema, put together, and its printed form."""

from collections.abc import Iterable
from typing import Any

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    Undefined,
    parse,
    validate,
)
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType

from fleet.model.visibility import NOBODY
from graph.compiled.documents import run_known
from graph.compiled.executor import CompiledExecutor
from graph.cost.limiter import CostLimiter
from graph.errors import present_error
from graph.limits.limits import build_limits
from graph.limits.operation_name import OneOperation
from graph.loading.context import Context, GraphInfo
from graph.roots.apollo_entities import FEDERATION_VERSION, strip_federation
from graph.roots.clusters import ClusterQueries
from graph.roots.entities import EntityQueries
from graph.roots.events import EventQueries
from graph.roots.nodes import NodeQueries
from graph.roots.objects import ObjectQueries
from graph.roots.placements import PlacementQueries
from graph.roots.pods import PodQueries
from graph.roots.problems import ProblemQueries
from graph.roots.resources import ResourceQueries
from graph.roots.search import SearchQueries
from graph.roots.subscription import Subscription
from graph.roots.viewer import ViewerQueries
from graph.roots.workloads import WorkloadQueries
from graph.scalars import SCALARS
from graph.spans import Steps, note_result, spanning_operation
from graph.types.node import Node
from graph.types.pod import Pod
from graph.types.resource import Resource
from graph.types.workload import Workload


@strawberry.type(description="Everything that can be asked.")
class Query(
    ClusterQueries,
    NodeQueries,
    PodQueries,
    WorkloadQueries,
    ProblemQueries,
    PlacementQueries,
    ResourceQueries,
    EventQueries,
    ObjectQueries,
    SearchQueries,
    ViewerQueries,
    EntityQueries,
):
    """The root, put together from its nouns."""


class GraphSchema(strawberry.federation.Schema):
    """Strawberry's schema, with errors logged where they get their codes and nowhere else."""

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        with spanning_operation(query) as span:
            result: ExecutionResult | None = None
            if query is not None and isinstance(context_value, Context) and context_value.compiled:
                result = await run_known(
                    self, query, context_value, variable_values, operation_name, allowed_operation_types
                )
            result = result or await super().execute(
                query,
                variable_values,
                context_value,
                root_value,
                operation_name,
                allowed_operation_types,
                operation_extensions,
            )
            if result.errors:
                scope = context_value.scope if isinstance(context_value, Context) else NOBODY
                result.errors = [present_error(error, scope) for error in result.errors]
            if span is not None:
                note_result(span, result)
        return result

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing: a caller's mistake is no line in our log, and `graph.errors` logs what is masked."""

    def find_mistakes(self, text: str) -> list[GraphQLError]:
        """What is wrong with a document, its size and shape aside. Raises GraphQLSyntaxError."""
        return validate(self._schema, parse(text))

    def drop_null_defaults(self) -> None:
        """Says `filter: PodFilter` and not `filter: PodFilter = null`, which means the same and reads worse."""
        for kind in self._schema.type_map.values():
            if isinstance(kind, GraphQLInputObjectType):
                _undefault(kind.fields.values())
            elif isinstance(kind, GraphQLObjectType):
                for field in kind.fields.values():
                    _undefault(field.args.values())


def _undefault(inputs: Iterable[GraphQLArgument | GraphQLInputField]) -> None:
    for given in inputs:
        if given.default_value is None:
            given.default_value = Undefined


schema = GraphSchema(
    query=Query,
    subscription=Subscription,
    types=[Pod, Node, Workload, Resource],
    config=StrawberryConfig(info_class=GraphInfo, scalar_map=SCALARS),
    execution_context_class=CompiledExecutor,
    extensions=[*build_limits(), OneOperation, CostLimiter, Steps],
    federation_version=FEDERATION_VERSION,
)
schema.drop_null_defaults()


def print_sdl() -> str:
    """The schema as text, ending with one newline; what only a gateway needs is in `_service { sdl }` alone."""
    return strip_federation(print_schema(schema))
