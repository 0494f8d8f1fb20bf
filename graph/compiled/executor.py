"""Graphql-core's executor with generated readers in three places: collecting, objects, and lists of views.

Wherever a reader raises, core does the whole object or list itself: nothing that readers call has an effect, so that
doing it again is safe, and the answer and its errors are core's.
"""

from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any, ClassVar, TypeVar, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetails, FragmentDetails, GroupedFieldSet
from graphql.execution.values import VariableValues, get_argument_values
from graphql.pyutils import Path
from msgspec import Struct
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import Schema, StrawberryGraphQLCoreExecutionContext

from graph.compiled.calls import SharedField, run_direct
from graph.compiled.codegen import LISTS
from graph.compiled.columns import ColumnWriter
from graph.compiled.encoded import EncodedBudget, ListEncoder, LongList
from graph.compiled.finder import Operation
from graph.compiled.lists import ListField, complete_items
from graph.compiled.plans import OperationPlans, Plan, Plans
from graph.compiled.readers import Reader, find_root_fields
from graph.loading.batches import Dispatch
from graph.loading.maybe_await import Deferred
from graph.loading.timeslice import TimeSlice, TimeSlices
from graph.types.views import Views

T = TypeVar("T")


class Built(Struct, frozen=True):
    """What core makes of a document and its variables before it executes, for any number of requests."""

    fragment_definitions: dict[str, FragmentDefinitionNode]
    fragments: dict[str, FragmentDetails]
    operation: OperationDefinitionNode
    variable_values: VariableValues


def build(
    schema: GraphQLSchema, document: DocumentNode, name: str | None, variables: dict[str, Any] | None
) -> Built | None:
    """The operation of that name; None where core refuses it, or its variables."""
    found = CompiledExecutor.build(schema, document, None, None, variables, name)
    if isinstance(found, list):
        return None
    cast("CompiledExecutor", found).break_cycle()
    return Built(found.fragment_definitions, found.fragments, found.operation, found.variable_values)


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """Answers are those of core.

    A context with a `compiled` that is false switches all of it off. One with a true `encoded` gets lists of views
    as `orjson.Fragment`: for answers that orjson writes next.
    """

    plans: ClassVar[dict[bool, Plans]] = {False: Plans(), True: Plans()}
    """Those of answers with encoded lists apart, for executors that are given none."""

    budget = EncodedBudget()
    """What encoded lists may keep, all together: it is the memory of the process that is bounded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._encoded = bool(getattr(self.context_value, "encoded", False))
        self._operation_plans: OperationPlans | None = None
        watched = self.middleware_manager is not None and self.middleware_manager.middlewares
        if getattr(self.context_value, "compiled", True) and not watched and self.abort_signal is None:
            self._operation_plans = self.plans[self._encoded].of(self.operation, self.fragment_definitions)
        self._by_selection: dict[int, Plan] = {}
        self.shared: dict[SharedField, dict[Any, Any]] = {}
        self.time_slice = TimeSlice(getattr(self.context_value, "time_slices", None) or TimeSlices())
        loaders = getattr(self.context_value, "loaders", None)
        self.dispatch = Dispatch(inf) if loaders is None else loaders.dispatch

    @classmethod
    def of(
        cls, schema: GraphQLSchema, built: Built, context: object, plans: OperationPlans | None = None
    ) -> "CompiledExecutor":
        """As `graphql.execute` makes one for Strawberry."""
        made = cls(
            schema,
            built.fragment_definitions,
            built.fragments,
            None,
            context,
            built.operation,
            built.variable_values,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            is_awaitable=optimized_is_awaitable,
        )
        if plans is not None and made._operation_plans is not None:
            made._operation_plans = plans
        return made

    def execute_operation(self, serially: bool | None = None) -> Any:
        """As core; then breaks the circle that core makes of an executor and its helpers.

        With it all of a request would wait for the garbage collector, which stops the loop for what it has to look at.
        """
        result = super().execute_operation(serially)
        if self.is_awaitable(result):
            return Deferred(self._finish, result)
        self.break_cycle()
        return result

    async def _finish(self, result: Awaitable[Any]) -> Any:
        try:
            return await result
        finally:
            self.break_cycle()

    def break_cycle(self) -> None:
        """Lets all of a request go at once, unless something of it goes on in the background."""
        if not self.background_futures:
            del self.async_helpers

    def execute_root_grouped_field_set(
        self, root_type: Any, root_value: Any, grouped_field_set: Any, serially: bool, position_context: Any
    ) -> Any:
        """As core, with the resolvers of a query's fields called directly."""
        plans = self._operation_plans
        key = None
        if plans is not None and position_context is None and self.operation.operation is OperationType.QUERY:
            key = plans.find_root_key(self.variable_values.coerced)
        fields = None
        if plans is not None and key is not None:
            fields = plans.get_root(key, lambda: find_root_fields(root_type, grouped_field_set, self._writer()))
        if fields is None:
            return super().execute_root_grouped_field_set(
                root_type, root_value, grouped_field_set, serially, position_context
            )
        return run_direct(self, fields, root_type, root_value, None, dict.fromkeys(grouped_field_set))

    def collect_subfields(
        self, return_type: GraphQLObjectType, field_details_list: list[FieldDetails]
    ) -> CollectedFields:
        """As core, but once for all requests with the same document and values."""
        memo = (return_type, id(field_details_list))
        known = self._relevant_sub_fields.get(memo)
        if known is not None:
            return known[1]
        plan = self._find_plan(return_type, field_details_list)
        if plan is None:
            return super().collect_subfields(return_type, field_details_list)
        self._by_selection[id(plan.collected.grouped_field_set)] = plan
        self._relevant_sub_fields[memo] = (field_details_list, plan.collected)
        return plan.collected

    def execute_fields(
        self, parent_type: Any, source_value: Any, path: Any, grouped_field_set: Any, position_context: Any
    ) -> Any:
        """As core, with the plain fields read at once."""
        plan = self._by_selection.get(id(grouped_field_set))
        reader = plan.get_reader(self._writer) if plan is not None else None
        if reader is None:
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        try:
            results = reader.read(source_value, self)
        except Exception:  # noqa: BLE001 - whatever it is, core answers or reports it in its own way
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        if reader.direct:
            return run_direct(self, reader.direct, parent_type, source_value, path, results)
        if not reader.rest:
            return results
        rest = super().execute_fields(parent_type, source_value, path, reader.rest, position_context)
        if isinstance(rest, dict):
            results.update(rest)
            return results
        return Deferred(_join, results, rest)

    def complete_list_value(
        self,
        return_type: GraphQLList[Any],
        field_details_list: list[FieldDetails],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """As core; a list of views whose selection is plain becomes one piece of text where that is wanted."""
        kind = _item_kind(return_type)
        if kind is None or type(result) not in LISTS or position_context is not None:
            return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)
        plan = self._by_selection.get(id(self.collect_subfields(kind, field_details_list).grouped_field_set))
        if plan is None:
            return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)
        field = ListField(field_details_list, info, kind, return_type.of_type, path)
        encoder = plan.get_encoder(self._writer) if self._encoded and type(result) is Views else None
        if encoder is not None:
            try:
                return encoder(self, result)
            except LongList:
                return Deferred(self._complete_in_slices, encoder, plan, field, result)
            except Exception:  # noqa: BLE001, S110 - whatever it is, it is found again where the item has its place
                pass
        reader = plan.get_reader(self._writer)
        if reader is None or reader.rest:
            return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)
        return complete_items(self, field, reader, result)

    async def _complete_in_slices(
        self, encoder: ListEncoder, plan: Plan, field: ListField, items: Views[Any, Any]
    ) -> Any:
        try:
            return await encoder.encode_in_slices(self, items, self.time_slice)
        except Exception:  # noqa: BLE001 - whatever it is, it is found again where the item has its place
            completed = complete_items(self, field, cast("Reader", plan.get_reader(self._writer)), items)
            return await completed if self.is_awaitable(completed) else completed

    def _find_plan(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> Plan | None:
        plans = self._operation_plans
        key = None if plans is None else plans.find_key(kind, details, self.variable_values.coerced)
        if plans is None or key is None:
            return None
        plan = plans.get(key)
        if plan is None:
            collected = super().collect_subfields(kind, list(details))
            if collected.new_defer_usages:
                return None
            plan = Plan(kind, details, collected)
            plans.keep(key, plan)
        return plan

    def _remember(
        self, role: str, kind: GraphQLObjectType, details: Sequence[FieldDetails], make: Callable[[], T]
    ) -> T:
        """One for each selection and role, however it is come by."""
        plans = self._operation_plans
        key = None if plans is None else plans.find_key(kind, details, self.variable_values.coerced)
        return make() if plans is None or key is None else plans.get_part((role, *key), make)

    def _writer(self) -> ColumnWriter:
        strawberry: Schema = self.schema._strawberry_schema  # type: ignore[attr-defined]  # noqa: SLF001 - Strawberry's own
        budget = self.budget if self._encoded else None
        scalars = strawberry.schema_converter.scalar_registry
        return ColumnWriter(
            Operation(self._collect, self._arguments, scalars, strawberry.config, self._remember, budget)
        )

    def _collect(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> GroupedFieldSet:
        return super().collect_subfields(kind, list(details)).grouped_field_set

    def _arguments(self, definition: GraphQLField, node: FieldNode) -> dict[str, Any]:
        if not (definition.args or node.arguments):
            return {}
        return get_argument_values(definition, node, self.variable_values, None, self.hide_suggestions)


def _item_kind(returned: GraphQLList[Any]) -> GraphQLObjectType | None:
    item = returned.of_type.of_type if isinstance(returned.of_type, GraphQLNonNull) else returned.of_type
    return item if isinstance(item, GraphQLObjectType) else None


async def _join(results: dict[str, Any], rest: Any) -> dict[str, Any]:
    results.update(await rest)
    return results
