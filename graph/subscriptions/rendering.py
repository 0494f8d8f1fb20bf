"""From objects to the texts of messages: the operation's selection, executed on them."""

import asyncio
import time
from collections.abc import Sequence
from inspect import isawaitable
from typing import Any

import orjson
from graphql import DocumentNode, ExecutionResult, GraphQLError, execute
from msgspec import Struct, field
from strawberry.types.execution import ExecutionResult as GraphResult

from auth.principal import Principal
from fleet.aio.admission import Admission
from fleet.aio.turns import SLICE_SECONDS
from fleet.federation import Federation
from fleet.model.redaction import EnvValues
from fleet.model.visibility import Scope
from fleet.ports import MetricStore
from graph.enums import EventType
from graph.errors import Code, present_error
from graph.limits.limits import DEFAULT_LIMITS, Limits
from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.schema import schema
from graph.slow_queries import SlowQueries
from graph.subscriptions.watched import EventSelection

_EXECUTED_A_TURN = 20

Body = dict[str, Any]
"""An execution result: `data`, and `errors` where there are any."""


class Grounds(Struct, frozen=True):
    """What operations are answered from. `request_timeout` bounds what one answer may wait for, in seconds."""

    federation: Federation
    metric_store: MetricStore
    request_timeout: float
    limits: Limits = DEFAULT_LIMITS
    redact_env: EnvValues = EnvValues.SHOWN
    admission: Admission = field(default_factory=Admission)
    slow_queries: SlowQueries = field(default_factory=SlowQueries)

    def build_context(self, principal: Principal, kind: type[Context] = Context, *, share: float = 1.0) -> Any:
        """A context for one operation, or for one batch of events, others asked for `share` of its time."""
        deadline = asyncio.get_running_loop().time() + self.request_timeout * share
        loaders = build_loaders(self.federation, principal.scope, self.metric_store, now=time.time(), deadline=deadline)
        return kind(principal, self.federation, loaders, limits=self.limits, redact_env=self.redact_env)


class Event:
    """One state of one object as a message, shared by all who get it; its text is made once for each type."""

    __slots__ = ("_base", "_selection", "_texts")

    def __init__(self, base: bytes, selection: EventSelection) -> None:
        self._base = base
        self._selection = selection
        self._texts: dict[EventType, str] = {}

    @property
    def size(self) -> int:
        """Bytes of it as JSON."""
        return len(self._base)

    def text(self, type: EventType) -> str:  # noqa: A002 - the field's name in the graph
        """The execution result as JSON, for an event of that type."""
        found = self._texts.get(type)
        if found is None:
            found = self._texts[type] = dump(set_type(orjson.loads(self._base), self._selection, type)).decode()
        return found


class Renderer:
    """Executes one operation on one object after the other, with one context a batch."""

    def __init__(
        self,
        grounds: Grounds,
        principal: Principal,
        selection: EventSelection,
        variables: dict[str, Any] | None,
        name: str | None,
    ) -> None:
        self.selection = selection
        self._grounds = grounds
        self._principal = principal
        self._variables = variables
        self._name = name

    @property
    def scope(self) -> Scope:
        return self._principal.scope

    async def render(self, roots: Sequence[object], *, watched: bool = False) -> list[Body]:
        """The results, in the roots' order; with `watched` of what is watched alone. Raises nothing for one of them."""
        context: Context = self._grounds.build_context(self._principal)
        document = self.selection.watched if watched else self.selection.document
        started = []
        with context.loaders.dispatch.holding():  # what is asked of others is asked for all roots at once
            ends = time.perf_counter() + SLICE_SECONDS
            for number, root in enumerate(roots, start=1):
                started.append(self._execute(document, root, context))
                if number % _EXECUTED_A_TURN == 0 or time.perf_counter() > ends:  # whole objects may be large
                    await asyncio.sleep(0)
                    ends = time.perf_counter() + SLICE_SECONDS
        waiting = [result for result in started if isawaitable(result)]
        try:
            async with asyncio.timeout(self._grounds.request_timeout + 1.0):
                arrived = iter(await asyncio.gather(*waiting)) if waiting else iter(())
        except TimeoutError:
            late = f"no answer within {self._grounds.request_timeout:g} s"
            return [build_failure(late, Code.CLUSTER_TIMEOUT) for _ in roots]
        return [build_body(next(arrived) if isawaitable(result) else result, self.scope) for result in started]

    def _execute(self, document: DocumentNode, root: object, context: Context) -> Any:
        return execute(
            schema._schema,  # noqa: SLF001 - the core's schema, which Strawberry keeps there for its own executions
            document,
            root_value=root,
            context_value=context,
            variable_values=self._variables,
            operation_name=self._name,
        )


def build_body(result: ExecutionResult | GraphResult, scope: Scope) -> Body:
    body: Body = {"data": result.data}
    if result.errors:
        body["errors"] = format_errors(result.errors, scope)
    if result.extensions:
        body["extensions"] = result.extensions
    return body


def format_errors(errors: Sequence[GraphQLError], scope: Scope) -> list[Any]:
    return [present_error(error, scope).formatted for error in errors]


def build_failure(message: str, code: Code) -> Body:
    """A result that is an error and nothing else."""
    return {"data": None, "errors": [{"message": message, "extensions": {"code": code.value}}]}


def set_type(body: Body, selection: EventSelection, type: EventType) -> Body:  # noqa: A002 - the field's name in the graph
    """The same event with another type, where its type is selected."""
    event: Any = (body.get("data") or {}).get(selection.root_key) or {}
    for key in selection.type_keys:
        if key in event:
            event[key] = type.value
    return body


def dump(body: Body) -> bytes:
    return orjson.dumps(body, default=str)
