"""Refuses an operation that would cost more than is allowed, after it is known to be valid and before it runs."""

import time
from collections.abc import Iterator

from strawberry.extensions import SchemaExtension

from fleet.aio.request_context import note_cost
from fleet.aio.tracing import spanning
from graph.cost.estimate import Estimate, estimate
from graph.cost.reading import Part, find_operation, note_operation, read_operation
from graph.cost.suggestions import suggest
from graph.extensions import JSON
from graph.limits.errors import LimitExceeded
from graph.loading.context import Context

SHOWN_PATHS = 20
"""Paths of a breakdown, the dearest ones."""


class CostLimiter(SchemaExtension):
    """Estimates each operation, and writes the estimate into the answer's extensions where the request asks for it."""

    def on_execute(self) -> Iterator[None]:
        """Raises LimitExceeded before the first resolver runs. What the core itself will refuse costs nothing."""
        context, document = self.execution_context.context, self.execution_context.graphql_document
        if isinstance(context, Context) and document is not None:
            core = self.execution_context.schema._schema  # noqa: SLF001 - as Strawberry's own extensions reach it
            name = self.execution_context.operation_name
            parts = read_operation(core, document, name, self.execution_context.variables)
            if parts is not None:
                note_operation(find_operation(document, name))
                check_cost(context, parts)
        yield


def check_cost(context: Context, parts: tuple[Part, ...]) -> Estimate:
    """Holds an operation to what it may cost, against the fleet of this moment. Raises LimitExceeded."""
    with spanning("graphql.cost"):
        sizes, now, limit = context.federation.count_objects(context.scope), time.time(), context.limits.cost
        found = estimate(parts, sizes, now)
    note_cost(found.units)
    if context.asked.cost:
        context.extensions["cost"] = describe(found, limit)
    if found.units > limit:
        suggestion = suggest(parts, sizes, now, limit)
        raise _refusal(found, limit, None if suggestion is None else suggestion.text)
    return found


def describe(found: Estimate, limit: int) -> dict[str, JSON]:
    return {"estimate": found.units, "limit": limit, "paths": found.dearest(SHOWN_PATHS)}


def _refusal(found: Estimate, limit: int, suggestion: str | None) -> LimitExceeded:
    advice = suggestion or "ask in several requests, or for fewer clusters and objects"
    return LimitExceeded(
        f"the operation would cost about {found.units:,} units, at most {limit:,} are allowed; this would do: {advice}",
        details={**describe(found, limit), "suggestion": suggestion},
    )
