"""Documents that are valid under the limits of their request go straight to execution, and are kept for the next time.

Those that are not go through Strawberry's extensions and core's validation, which say what is wrong.

What is kept is what parsing, the limits of documents and validation decide, and these look at the text and the limits
alone. What depends on a request is kept with what it depends on: its variables, or the caller's scope, and for a second
only where it is the fleet of this moment.
"""

import re
import time
from collections.abc import Iterable
from inspect import isawaitable
from typing import Any

import orjson
from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse
from graphql import ExecutionResult as GraphQLExecutionResult
from strawberry.schema.schema import Schema
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from fleet.aio.lru import Lru
from fleet.aio.request_context import note_cost, note_parsed
from fleet.aio.tracing import UNTRACED, spanning
from fleet.model.visibility import Scope
from graph.compiled.executor import Built, CompiledExecutor, build
from graph.compiled.plans import OperationPlans
from graph.cost.limiter import check_cost
from graph.cost.reading import KnownParts, Part, find_operation, note_operation, read_operation
from graph.limits.errors import LimitExceeded
from graph.limits.limits import CACHED_DOCUMENTS, Limits, build_rules, check_text
from graph.limits.spreads import check_spreads
from graph.limits.validation import is_valid
from graph.loading.context import Context
from graph.loading.lookahead import OperationPlan

_QUERY = (OperationType.QUERY,)

MAX_VARIABLES = 32
"""Sets of variables that a document is remembered with."""

MAX_PARTS = 1_000
"""Fields that are remembered of a document, over all sets of variables: half a megabyte."""

MAX_VALUES = 2_000
"""Bytes of JSON of the variables that are remembered."""

MAX_BYTES = 32 << 20
"""Bytes that known documents take together, with what is kept of them."""

A_CHARACTER = 420
"""Bytes that a character of a text comes to: tokens, nodes, plans, columns and readers."""

A_SET = 8_000
"""Bytes that are kept for a set of variables."""

CHEAP = 4
"""An operation is cheap where so many of it would still be allowed at once."""

CHEAP_SECONDS = 1.0
"""How long it is taken to stay so, for the same scope: fleets grow, but not fourfold in a moment."""

MAX_SCOPES = 64
"""Scopes for which an operation is remembered as cheap."""

_UNKNOWN = (0.0, 0)

PlanKey = tuple[str | None, bytes | None]
"""An operation's name, and variables as JSON: None for those that are too long to be kept."""

_USE = re.compile(r"(?:\b(first|after)\s*:\s*)?\$(\w+)(\s*:)?")


def _find_paging(text: str) -> frozenset[str]:
    """Variables that are the `first` or the `after` of lists and nothing else: no plan hangs on them."""
    uses = [found.groups() for found in _USE.finditer(text)]
    return frozenset(name for _, name, _ in uses) - {
        name for paging, name, declared in uses if not (paging or declared)
    }


class KnownOperation:
    """One operation of a document with certain variables.

    `parts` are what it costs by; `built` is what core made of it and of the variables; `plans` have what it selects of
    usage and history by `plan_key`, once a resolver wanted to know.
    """

    __slots__ = ("_cheap", "built", "parts", "plan_key")

    def __init__(self, parts: tuple[Part, ...], built: Built, plan_key: PlanKey) -> None:
        self.parts = parts
        self.built = built
        self.plan_key = plan_key
        self._cheap: dict[Scope, tuple[float, int]] = {}

    def check_cost(self, context: Context) -> None:
        """As `graph.cost`; what was far below its limit is so for a second more. Raises LimitExceeded."""
        now = time.monotonic()
        until, units = self._cheap.get(context.scope, _UNKNOWN)
        if not context.asked.cost and now < until:
            note_cost(units)
            return
        units = check_cost(context, self.parts).units
        if units * CHEAP <= context.limits.cost:
            if len(self._cheap) >= MAX_SCOPES:
                self._cheap.clear()
            self._cheap[context.scope] = (now + CHEAP_SECONDS, units)


class KnownDocument:
    """A valid document, and its operations by name and variables."""

    __slots__ = ("_asked", "_length", "_operations", "_paging", "_parts", "document", "plans")

    def __init__(self, document: DocumentNode, text: str) -> None:
        self.document = document
        self._length = len(text)
        self._operations: dict[tuple[str | None, bool], OperationPlans] = {}
        self.plans: Lru[PlanKey, OperationPlan] = Lru(MAX_VARIABLES)
        self._asked: Lru[PlanKey, KnownOperation] = Lru()
        self._parts: KnownParts = {}
        self._paging = _find_paging(text)

    @property
    def remembered(self) -> int:
        return len(self._asked)

    @property
    def weight(self) -> int:
        """About what it takes of memory, with all that is kept of it, in bytes."""
        return A_CHARACTER * self._length + A_SET * len(self._asked)

    def get_plans(self, built: Built, name: str | None, *, encoded: bool) -> OperationPlans:
        """How an operation's selections are read."""
        found = self._operations.get((name, encoded))
        if found is None:
            found = OperationPlans(built.operation, built.fragment_definitions)
            self._operations[name, encoded] = found
        return found

    def read(self, schema: GraphQLSchema, name: str | None, variables: dict[str, Any] | None) -> KnownOperation | None:
        """The operation, as it was read with these variables; None where the core will refuse it.

        Raises LimitExceeded.
        """
        values = _write_values(variables)
        found = None if values is None else self._asked.get((name, values))
        if found is None:
            parts = read_operation(schema, self.document, name, variables, self._parts)
            built = None if parts is None else build(schema, self.document, name, variables)
            if parts is None or built is None:
                return None
            asked = {key: value for key, value in (variables or {}).items() if key not in self._paging}
            found = KnownOperation(parts, built, (name, _write_values(asked)))
            if values is not None:
                self._asked.most = min(MAX_VARIABLES, MAX_PARTS // max(1, _count(parts)))
                self._asked.put((name, values), found)
        return found


known_documents: Lru[tuple[str, Limits], KnownDocument] = Lru(CACHED_DOCUMENTS, most_weight=MAX_BYTES)
"""Those that were found valid under certain limits: one for the process, as the schema is that they are valid for."""


async def run_known(
    schema: Schema,
    text: str,
    context: Context,
    variables: dict[str, Any] | None,
    name: str | None,
    allowed: Iterable[OperationType] | None,
) -> ExecutionResult | None:
    """The result of an operation; None where it is none, or will be refused by what knows why."""
    core = schema._schema  # noqa: SLF001 - as Strawberry's own extensions reach it
    known = known_documents.get((text, context.limits))
    is_new = known is None
    if is_new:
        known = _learn(core, text, context.limits)
    operation = None if known is None else find_operation(known.document, name)
    if known is None or operation is None or OperationType(operation.operation.value) not in (allowed or _QUERY):
        return None
    try:
        remembered = known.remembered
        read = known.read(core, name, variables)
        if read is None:
            return None
        if known.remembered != remembered:
            known_documents.put((text, context.limits), known, known.weight)
        note_operation(operation)
        read.check_cost(context)
    except LimitExceeded:
        return None
    plan = context.plan = None if read.plan_key[1] is None else known.plans.get(read.plan_key)
    plans = known.get_plans(read.built, name, encoded=context.encoded)
    executor = CompiledExecutor.of(core, read.built, context, plans)
    # Of a known document nothing else is done, so that its operation is the execution.
    with spanning("graphql.execute") if is_new else UNTRACED:
        running = executor.execute_operation()
        found = await running if isawaitable(running) else running
    if plan is None and context.plan is not None:
        known.plans.put(read.plan_key, context.plan)
    if not isinstance(found, GraphQLExecutionResult):
        raise TypeError("nothing of this schema is delivered in parts")
    return ExecutionResult(data=found.data, errors=found.errors)


def _learn(schema: GraphQLSchema, text: str, limits: Limits) -> KnownDocument | None:
    """A document that was not asked before; None for one that is not valid, or more than is allowed."""
    begun = time.perf_counter()
    try:
        check_text(text, limits)
        with spanning("graphql.parse"):
            document = parse(text)
        check_spreads(document, limits.spreads)
    except (GraphQLError, RecursionError):
        return None
    with spanning("graphql.validate"):
        valid = is_valid(schema, text, document, build_rules(limits))
    if not valid:
        return None
    _unlink(document)
    note_parsed(time.perf_counter() - begun)
    known = KnownDocument(document, text)
    known_documents.put((text, limits), known, known.weight)
    return known


def _unlink(document: DocumentNode) -> None:
    """Lets the document go when nobody holds it: tokens that know each other would wait for the garbage collector."""
    token = document.loc.start_token if document.loc is not None else None
    while token is not None:
        token.prev = None
        token = token.next


def _write_values(variables: dict[str, Any] | None) -> bytes | None:
    """The variables as a key, None for those that are too long for one, or not of JSON."""
    if not variables:
        return b""
    try:
        written = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None
    return written if len(written) <= MAX_VALUES else None


def _count(parts: tuple[Part, ...]) -> int:
    return sum(1 + _count(part.inner) for part in parts)
