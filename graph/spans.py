"""Operations as spans. Source: OpenTelemetry, semantic conventions for GraphQL servers."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from graphql import OperationDefinitionNode
from strawberry.extensions import SchemaExtension
from strawberry.types.execution import ExecutionResult

from fleet.aio import tracing
from fleet.aio.request_context import current_request
from fleet.aio.tracing import UNTRACED, Span, spanning
from graph.operation import hash_document


def spanning_operation(text: str | None) -> AbstractContextManager[Span | None]:
    """Around an operation, which is named once it is known; its text is told by a hash, its variables are not."""
    if tracing.tracer is None:
        return UNTRACED
    span = tracing.child("GraphQL operation", {})
    if span is None:
        return UNTRACED
    if text is not None:
        span.attributes["openmcp.graphql.document.hash"] = hash_document(text)
    return span


def name_operation(operation: OperationDefinitionNode) -> None:
    """Says of the operation that is under way which it is."""
    span = tracing.current_span()
    if span is None or not span.sampled:
        return
    span.name = span.attributes["graphql.operation.type"] = operation.operation.value
    if operation.name is not None:
        span.attributes["graphql.operation.name"] = operation.name.value
        span.name += f" {operation.name.value}"


def note_result(span: Span, result: ExecutionResult) -> None:
    """What came of it: what it was estimated at, and whether all of it went wrong."""
    request = current_request()
    if request is not None and request.cost is not None:
        span.attributes["openmcp.graphql.cost"] = request.cost
    if result.errors:
        span.attributes["openmcp.graphql.errors"] = len(result.errors)
        if result.data is None:
            span.fail(str((result.errors[0].extensions or {}).get("code", "_OTHER")))


class Steps(SchemaExtension):
    """Steps of operations that Strawberry carries out, for those that trace."""

    def on_parse(self) -> Iterator[None]:
        with spanning("graphql.parse"):
            yield

    def on_validate(self) -> Iterator[None]:
        with spanning("graphql.validate"):
            yield

    def on_execute(self) -> Iterator[None]:
        with spanning("graphql.execute"):
            yield
