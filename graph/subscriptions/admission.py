"""The one place where an operation of a lasting connection is admitted: parsed, held to the limits, and begun."""

import asyncio
import time
from typing import Any

from graphql import GraphQLError
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types.execution import ExecutionResult, PreExecutionError

from auth.principal import Principal
from fleet.aio.admission import Rank
from fleet.model.errors import Busy
from fleet.model.visibility import Scope
from graph.errors import Code
from graph.figures import OPERATIONS, outcome_of
from graph.loading.context import ASKING_SHARE
from graph.loading.explain import finish
from graph.operation import Operation
from graph.roots.topics import Admitted, LiveContext
from graph.schema import schema
from graph.subscriptions.rendering import Grounds, build_body, build_failure, dump, format_errors


class Rejected(Exception):
    """The operation was not begun; `errors` say why, as they are sent."""

    def __init__(self, errors: list[Any]) -> None:
        super().__init__("; ".join(str(error["message"]) for error in errors))
        self.errors = errors


async def admit(grounds: Grounds, principal: Principal, operation: Operation) -> Admitted | str:
    """A subscription that may be carried out, or at once the whole result of a query, as JSON.

    Every limit holds here as it does over plain HTTP, before any work: the document goes through the schema's own
    extensions. Raises Rejected.
    """
    context: LiveContext = grounds.build_context(principal, LiveContext, share=ASKING_SHARE)
    context.asked = operation.asked
    deadline = asyncio.get_running_loop().time() + grounds.request_timeout
    try:
        await grounds.admission.enter(principal.name, deadline, Rank.STREAM)
    except Busy as busy:
        raise Rejected(build_failure(str(busy), Code.OVERLOADED)["errors"]) from None
    begun = time.perf_counter()
    try:
        with grounds.slow_queries.watching(operation) as recorder:
            result = await _execute(context, operation, grounds.request_timeout)
    finally:
        grounds.admission.leave(principal.name)
    if context.admitted is not None:
        return context.admitted
    OPERATIONS.note(outcome_of(result), begun, operation.name, None)
    if _was_begun(result, context):
        extensions = finish(context, recorder)
        return dump(build_body(result, principal.scope) | ({"extensions": extensions} if extensions else {})).decode()
    raise Rejected(_explain(result.errors or [], principal.scope))


async def _execute(context: LiveContext, operation: Operation, seconds: float) -> ExecutionResult:
    """The first result, which is a subscription's only one where it is refused. Raises Rejected."""
    results: list[Any] = []
    try:
        async with asyncio.timeout(seconds):
            source = await schema.stream(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.name,
            )
            async for result in source:
                results.append(result)  # noqa: PERF401 - what came before a timeout is not thrown away by it
    except TimeoutError:
        raise Rejected(build_failure(f"no answer within {seconds:g} s", Code.CLUSTER_TIMEOUT)["errors"]) from None
    except GraphQLError as error:  # a text that can't be parsed, which Strawberry raises here and nowhere else
        raise Rejected(format_errors([error], context.scope)) from None
    return results[0] if results else ExecutionResult(data=None, errors=None)


def _was_begun(result: ExecutionResult, context: LiveContext) -> bool:
    if isinstance(result, PreExecutionError) or context.subscribing:
        return False
    return result.data is not None or any(error.path is not None for error in result.errors or ())


def _explain(errors: list[GraphQLError], scope: Scope) -> list[Any]:
    unclear = errors[0].original_error if errors else None
    if isinstance(unclear, CannotGetOperationTypeError):
        return [{"message": unclear.as_http_error_reason(), "extensions": {"code": Code.BAD_USER_INPUT.value}}]
    return format_errors(errors, scope)
