"""The columns of a selection: how lists of views are read (`graph.compiled.rows`), and what makes them text."""

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, cast

from graphql import GraphQLNonNull, GraphQLObjectType, GraphQLOutputType, is_leaf_type
from graphql.execution.collect_fields import FieldDetails

from graph.compiled.codegen import LARGE, TYPENAME, CodeWriter
from graph.compiled.encoded import EncodedBudget, ListEncoder
from graph.compiled.fields import NotCompilable, find_attribute, find_definition, find_field
from graph.compiled.leaves import build_column_check
from graph.compiled.rows import (
    Column,
    RowReader,
    Stamped,
    attribute_column,
    constant_column,
    distinct_column,
    model_column,
    resolver_column,
)
from graph.types.fields import COLUMN, SHARED_BY


class ColumnWriter(CodeWriter):
    """Writes functions, and columns beside them: what in a column is an object or a list, functions complete."""

    def find_encoder(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> ListEncoder | None:
        budget = self._operation.budget
        if budget is None:
            return None
        found: tuple[ListEncoder | None] = self._operation.remember(
            "list", kind, details, lambda: (self._build_encoder(kind, details, budget),)
        )
        return found[0]

    def _build_encoder(
        self, kind: GraphQLObjectType, details: Sequence[FieldDetails], budget: EncodedBudget
    ) -> ListEncoder | None:
        inner = self._another()
        try:
            rows, _ = inner.build_rows(kind, details)
        except NotCompilable:
            return None
        return None if inner.large else ListEncoder(rows, budget)

    def build_rows(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> tuple[RowReader, type]:
        definition = find_definition(kind)
        if definition is None:
            raise NotCompilable
        columns = {
            key: self._find_column(kind, inner, definition.origin)
            for key, inner in self._operation.collect(kind, details).items()
        }
        return RowReader(columns), definition.origin

    def _find_column(self, kind: GraphQLObjectType, details: Sequence[FieldDetails], origin: type) -> Column | Stamped:
        node = details[0].node
        name = node.name.value
        if name == TYPENAME:
            return constant_column(kind.name)
        definition, field = find_field(kind, name)
        stamped = self.find_shared(kind, field, details, by_columns=True) or self.find_batched(
            definition.type, field, details
        )
        if stamped is not None:
            return stamped
        complete = self._find_completion(definition.type, details)
        resolver = field.base_resolver
        if resolver is None:
            if node.arguments:
                raise NotCompilable
            return attribute_column(find_attribute(field.python_name, origin), complete)
        if resolver.info_parameter is not None or field.is_async:
            raise NotCompilable
        if (column := field.metadata.get(COLUMN)) is not None:
            return model_column(column, complete)
        arguments = self.arguments_of(definition, field, node)
        column = resolver_column(cast("Any", resolver.wrapped_func), arguments, complete)
        shared_by = field.metadata.get(SHARED_BY)
        return distinct_column(attrgetter(*shared_by), column) if shared_by else column

    def _find_completion(
        self, kind: GraphQLOutputType, details: Sequence[FieldDetails]
    ) -> Callable[[list[Any], Any], list[Any]]:
        nullable = not isinstance(kind, GraphQLNonNull)
        leaf: Any = kind if nullable else cast("Any", kind).of_type
        if is_leaf_type(leaf):
            self.large = self.large or leaf.name in LARGE
            check = build_column_check(leaf, nullable=nullable)
            return lambda values, run: check(values)
        lines: list[str] = []
        self._write_value(lines, kind, details, "    ")
        name = self._name("complete", None)
        self._functions.append("\n".join([f"def {name}(value, run):", *lines, "    return value\n"]))
        complete = self.compile(name)
        return lambda values, run: list(map(complete, values, repeat(run)))
