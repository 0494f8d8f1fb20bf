"""The code generator: writes the function that reads one selection of one object type.

For `{ name region }` of nodes, where `Node_7` is their class and `coerce_String_5` what core does with any other value:

    def read_Node_6(source, run):
        if type(source) is not Node_7: raise Bailout
        model = source.model
        result = {}
        value = model.name
        if value is None: raise Bailout
        if type(value) is not str: value = coerce_String_5(value)
        result['name'] = value
        value = model.region
        if value is not None:
            if type(value) is not str: value = coerce_String_5(value)
        result['region'] = value
        return result

The text holds response names, attribute names and names of its own making, never a value: constants, resolvers and
classes are handed over beside it. A GraphQL name is a Python identifier, so a response name can't end its quotes.
"""

import itertools
import linecache
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from inspect import Parameter
from itertools import repeat
from operator import attrgetter
from typing import Any, cast

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLFloat,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    Undefined,
    is_enum_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet
from strawberry.types.field import StrawberryField

from fleet.model.ordered import LazySequence
from graph.compiled.calls import BatchedField, DirectField, Read, SharedField, lazy_class
from graph.compiled.encoded import EncodedBudget, ListEncoder
from graph.compiled.fields import NotCompilable, convert_arguments, find_attribute, find_definition, find_field
from graph.compiled.leaves import PLAIN, Bailout, are_floats, build_coercion, build_column_check, find_check
from graph.compiled.rows import (
    Column,
    RowReader,
    Stamped,
    attribute_column,
    constant_column,
    resolver_column,
    write_one,
)
from graph.types.fields import BATCHED, SHARED_BY, VIEWS, Batched
from graph.types.views import View, Views

Collect = Callable[[GraphQLObjectType, Sequence[FieldDetails]], GroupedFieldSet]
Arguments = Callable[[GraphQLField, FieldNode], dict[str, Any]]
Remember = Callable[[str, GraphQLObjectType, Sequence[FieldDetails], Callable[[], Any]], Any]
"""What was made for a selection in a role, made by the last argument where it is not kept."""

LISTS = frozenset((list, tuple, Views, LazySequence))
"""Classes of lists that are what they look like."""

MOST_ITEMS = 250
"""Objects of a list that are read at a stretch; longer lists are completed a turn of the loop at a time."""

_FILES = itertools.count()
_TYPENAME = "__typename"
_LARGE = frozenset({"JSON"})
"""Scalars whose values are as large as one likes."""


class Reader:
    """A generated function and what it leaves to core.

    `read(source, run)` gives the answer's object, with None in the place of the fields in `direct` and `rest`; `run` is
    the executor. It raises anything at all where core has to look at the object itself. Fields are direct where all
    that are not plain can be: their order, and so that of their errors, stays the selection's.
    """

    def __init__(self, compiled: Callable[[], Read], direct: tuple[DirectField, ...], rest: GroupedFieldSet) -> None:
        self._compile = compiled
        self.direct = direct
        self.rest = rest

    @cached_property
    def read(self) -> Read:
        return self._compile()


def build_reader(kind: GraphQLObjectType, selection: GroupedFieldSet, writer: "CodeWriter") -> Reader | None:
    """The reader of a selection, None where core has to do all of it."""
    definition = find_definition(kind)
    if definition is None:
        return None
    rest: GroupedFieldSet = {}
    name = writer.write_object(kind, selection, definition.origin, rest)
    direct = tuple(found for key, details in rest.items() if (found := writer.find_direct(kind, key, details)))
    if len(direct) == len(rest):
        return Reader(lambda: writer.compile(name), direct, {})
    if len(rest) == len(selection):
        return None
    return Reader(lambda: writer.compile(name), (), rest)


def find_root_fields(
    kind: GraphQLObjectType, selection: GroupedFieldSet, writer: "CodeWriter"
) -> tuple[DirectField, ...] | None:
    """All fields of a root as direct ones, None where core has to do one of them."""
    found = [writer.find_direct(kind, key, details) for key, details in selection.items()]
    direct = tuple(field for field in found if field is not None)
    return direct if len(direct) == len(found) else None


class CodeWriter:
    """The text of one reader and of those it calls, and the names they are compiled with.

    With a `budget`, lists of views become text where the reader meets them.
    """

    def __init__(
        self,
        collect: Collect,
        arguments: Arguments,
        scalars: Any,
        config: Any,
        remember: Remember,
        budget: EncodedBudget | None,
    ) -> None:
        self._collect = collect
        self._arguments = arguments
        self._scalars = scalars
        self._config = config
        self._remember = remember
        self._budget = budget
        self._names: dict[str, Any] = {
            "Bailout": Bailout,
            "Views": Views,
            "LISTS": LISTS,
            "PLAIN": PLAIN,
            "Undefined": Undefined,
        }
        self._functions: list[str] = []
        self.large = False

    def compile(self, name: str) -> Read:
        self._compile(name)
        found: Read = self._names[name]
        return found

    def _compile(self, name: str) -> None:
        text, file = "\n\n".join(self._functions), f"<generated {name}, {next(_FILES)}>"
        exec(compile(text, file, "exec"), self._names)  # noqa: S102 - the module's docstring says what the text holds
        # Tracebacks and debuggers read lines from there. No time of change: a check of files leaves the entry alone.
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        weakref.finalize(self._names[name], linecache.cache.pop, file, None).atexit = False

    def write_object(
        self, kind: GraphQLObjectType, selection: GroupedFieldSet, origin: type, rest: GroupedFieldSet | None
    ) -> str:
        """Writes the function of a selection. Fields not plain go to `rest`; NotCompilable where there is none."""
        lines: list[str] = []
        for key, details in selection.items():
            field = details[0].node.name.value
            before = len(lines)
            try:
                if field == _TYPENAME:
                    lines.append(f"    value = {kind.name!r}")
                else:
                    self._write_field(lines, kind, field, details, origin)
            except NotCompilable:
                if rest is None:
                    raise
                rest[key] = details
                del lines[before:]
                lines.append("    value = None")
            lines.append(f"    result[{key!r}] = value")
        name = self._name(f"read_{kind.name}", None)
        # Exactly that class: a subclass may answer from other attributes, and `isinstance` is slower.
        guard = f"    if type(source) is not {self._name(kind.name, origin)}: raise Bailout"
        head = [guard, "    model = source.model"] if issubclass(origin, View) else [guard]
        self._functions.append(
            "\n".join([f"def {name}(source, run):", *head, "    result = {}", *lines, "    return result\n"])
        )
        return name

    def find_direct(
        self, kind: GraphQLObjectType, key: str, details: list[FieldDetails], *, read: bool = True
    ) -> DirectField | None:
        """The field as one whose resolver is called directly, None where core has to do that.

        Without `read` its result is read by who calls it.
        """
        try:
            definition, field = find_field(kind, details[0].node.name.value)
            resolver = field.base_resolver
            if resolver is None:
                return None
            arguments = self._arguments_of(definition, field, details[0].node)
        except NotCompilable:
            return None
        info_name = None if resolver.info_parameter is None else resolver.info_parameter.name
        if info_name is not None:
            arguments.pop(info_name)
        parameters = list(resolver.signature.parameters.values())
        found, origin = self._find_result(definition.type, details) if read else (None, None)
        return DirectField(
            key=key,
            definition=definition,
            details=details,
            nodes=[each.node for each in details],
            field=field,
            call=cast("Callable[..., Any]", resolver.wrapped_func),
            info_name=info_name,
            takes_info=info_name is not None and _is_second(parameters, info_name),
            arguments=arguments,
            info_class=lazy_class(self._config.info_class),
            read=found,
            origin=origin,
        )

    def _find_result(self, returned: GraphQLOutputType, details: list[FieldDetails]) -> tuple[Read | None, type | None]:
        """How a field's own object is read, and of what class it is, where all of its selection is plain."""
        kind = _present(returned)
        if not isinstance(kind, GraphQLObjectType):
            return None, None
        found: tuple[Read | None, type | None] = self._remember(
            "result", kind, details, lambda: self._compile_result(kind, details)
        )
        return found

    def _compile_result(
        self, kind: GraphQLObjectType, details: Sequence[FieldDetails]
    ) -> tuple[Read | None, type | None]:
        inner = self._another()
        try:
            name, origin = inner.write_nested(kind, details)
        except NotCompilable:
            return None, None
        return inner.compile(name), origin

    def _write_field(
        self, lines: list[str], kind: GraphQLObjectType, name: str, details: Sequence[FieldDetails], origin: type
    ) -> None:
        definition, field = find_field(kind, name)
        node = details[0].node
        shared = self._find_shared(kind, field, details, by_columns=False)
        if shared is not None:
            lines.append(f"    value = {self._name('shared', shared)}(run, source)")
            return
        if field.base_resolver is None:
            if node.arguments:
                raise NotCompilable
            lines.append(f"    value = {find_attribute(field.python_name, origin)}")
        else:
            lines.append(f"    value = {self._write_call(definition, field, node)}")
        encoder = self._find_encoder_of(field, definition.type, details)
        if encoder is None:
            self._write_value(lines, definition.type, details, "    ")
            return
        if not is_non_null_type(definition.type):
            lines.append("    if value is not None:")
        indent = "    " if is_non_null_type(definition.type) else "        "
        lines.append(f"{indent}if type(value) is not Views: raise Bailout")
        lines.append(f"{indent}value = {self._name('encode', encoder)}(run, value)")

    def _find_encoder_of(
        self, field: StrawberryField, returned: GraphQLOutputType, details: Sequence[FieldDetails]
    ) -> ListEncoder | None:
        kind = _present(returned)
        if not field.metadata.get(VIEWS) or not isinstance(kind, GraphQLList):
            return None
        item = _inner(kind)
        return self.find_encoder(item, details) if isinstance(item, GraphQLObjectType) else None

    def _find_shared(
        self, kind: GraphQLObjectType, field: StrawberryField, details: Sequence[FieldDetails], *, by_columns: bool
    ) -> SharedField | None:
        """The field as one whose resolver says that objects share it. Raises NotCompilable where not all is plain.

        With `by_columns` its values are text.
        """
        shared_by = field.metadata.get(SHARED_BY)
        if not shared_by:
            return None
        direct = self.find_direct(kind, field.python_name, list(details), read=False)
        item = None if direct is None else _present(direct.definition.type)
        if direct is None or not isinstance(item, GraphQLObjectType):
            raise NotCompilable
        inner, key_of = self._another(), attrgetter(*shared_by)
        if by_columns:
            rows, origin = inner.build_rows(item, details)
            return SharedField(direct, kind, key_of, origin, lambda: partial(write_one, rows))
        name, origin = inner.write_nested(item, details)
        return SharedField(direct, kind, key_of, origin, lambda: inner.compile(name))

    def _find_batched(
        self, kind: GraphQLObjectType, field: StrawberryField, details: Sequence[FieldDetails]
    ) -> BatchedField | None:
        batched: Batched | None = field.metadata.get(BATCHED)
        direct = None if batched is None else self.find_direct(kind, field.python_name, list(details))
        if batched is None or direct is None or direct.read is None or is_non_null_type(direct.definition.type):
            return None
        return BatchedField(batched, direct.read)

    def _write_call(self, definition: GraphQLField, field: StrawberryField, node: FieldNode) -> str:
        resolver = field.base_resolver
        if resolver is None or resolver.info_parameter is not None or field.is_async:
            raise NotCompilable
        named = self._arguments_of(definition, field, node)
        function = self._name(f"resolve_{node.name.value}", resolver.wrapped_func)
        return f"{function}(source, **{self._name('given', named)})" if named else f"{function}(source)"

    def _arguments_of(self, definition: GraphQLField, field: StrawberryField, node: FieldNode) -> dict[str, Any]:
        return convert_arguments(
            field, lambda: self._arguments(definition, node), config=self._config, scalars=self._scalars
        )

    def _write_value(
        self, lines: list[str], kind: GraphQLOutputType, details: Sequence[FieldDetails], indent: str
    ) -> None:
        """Completes `value`, which is of this type."""
        if isinstance(kind, GraphQLNonNull):
            lines.append(f"{indent}if value is None: raise Bailout")
            self._write_present(lines, kind.of_type, details, indent)
        else:
            lines.append(f"{indent}if value is not None:")
            self._write_present(lines, kind, details, f"{indent}    ")

    def _write_present(
        self, lines: list[str], kind: GraphQLOutputType, details: Sequence[FieldDetails], indent: str
    ) -> None:
        if is_leaf_type(kind):
            self.large = self.large or kind.name in _LARGE
            coercion, check = self._name(f"coerce_{kind.name}", build_coercion(kind)), find_check(kind)
            if check:
                lines.append(f"{indent}if {check}: value = {coercion}(value)")
            elif is_enum_type(kind):
                lines.append(f"{indent}value = {coercion}(value)")
            else:
                own = self._name(f"serialize_{kind.name}", kind.coerce_output_value)
                lines.append(f"{indent}if type(value) in PLAIN:")
                lines.append(f"{indent}    value = {own}(value)")
                lines.append(f"{indent}    if value is None or value is Undefined: raise Bailout")
                lines.append(f"{indent}else: value = {coercion}(value)")
        elif isinstance(kind, GraphQLList) and is_list_type(kind):
            self._write_list(lines, kind, details, indent)
        elif is_object_type(kind):
            lines.append(f"{indent}value = {self.write_nested(kind, details)[0]}(value, run)")
        else:
            raise NotCompilable

    def _write_list(
        self, lines: list[str], kind: GraphQLList[Any], details: Sequence[FieldDetails], indent: str
    ) -> None:
        items, out = self._name("items", None), self._name("out", None)
        lines.append(f"{indent}if type(value) not in LISTS: raise Bailout")
        if is_object_type(_inner(kind)):  # core completes a longer list, and lets others have the loop meanwhile
            lines.append(f"{indent}if len(value) > {MOST_ITEMS}: raise Bailout")
        if kind.of_type is GraphQLFloat:  # a chart has a hundred thousand of them: they are looked at by C code
            lines.append(f"{indent}if not {self._name('are_floats', are_floats)}(value):")
            indent = f"{indent}    "
        lines.append(f"{indent}{items} = value")
        lines.append(f"{indent}{out} = []")
        lines.append(f"{indent}for value in {items}:")
        self._write_value(lines, kind.of_type, details, f"{indent}    ")
        lines.append(f"{indent}    {out}.append(value)")
        lines.append(f"{indent}value = {out}")

    def find_encoder(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> ListEncoder | None:
        """What makes lists of such objects text; None where lists stay lists, have large values, or are not plain."""
        budget = self._budget
        if budget is None:
            return None
        found: tuple[ListEncoder | None] = self._remember(
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
        """What reads lists of such objects by columns, and their class. Raises NotCompilable."""
        definition = find_definition(kind)
        if definition is None:
            raise NotCompilable
        columns = {
            key: self._find_column(kind, inner, definition.origin)
            for key, inner in self._collect(kind, details).items()
        }
        if self._functions:
            self._compile(next(reversed(self._names)))
        return RowReader(columns), definition.origin

    def _find_column(self, kind: GraphQLObjectType, details: Sequence[FieldDetails], origin: type) -> Column | Stamped:
        node = details[0].node
        name = node.name.value
        if name == _TYPENAME:
            return constant_column(kind.name)
        definition, field = find_field(kind, name)
        stamped = self._find_shared(kind, field, details, by_columns=True) or self._find_batched(kind, field, details)
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
        return resolver_column(
            cast("Any", resolver.wrapped_func), self._arguments_of(definition, field, node), complete
        )

    def _find_completion(
        self, kind: GraphQLOutputType, details: Sequence[FieldDetails]
    ) -> Callable[[list[Any], Any], list[Any]]:
        nullable = not isinstance(kind, GraphQLNonNull)
        leaf: Any = kind if nullable else cast("Any", kind).of_type
        if is_leaf_type(leaf):
            self.large = self.large or leaf.name in _LARGE
            check = build_column_check(leaf, nullable=nullable)
            return lambda values, run: check(values)
        lines: list[str] = []
        self._write_value(lines, kind, details, "    ")
        name = self._name("complete", None)
        self._functions.append("\n".join([f"def {name}(value, run):", *lines, "    return value\n"]))
        names = self._names
        return lambda values, run: list(map(names[name], values, repeat(run)))

    def _another(self) -> "CodeWriter":
        return CodeWriter(self._collect, self._arguments, self._scalars, self._config, self._remember, self._budget)

    def write_nested(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> tuple[str, type]:
        """Writes the function of an object inside another, and says what class it reads. Raises NotCompilable."""
        definition = find_definition(kind)
        if definition is None:
            raise NotCompilable
        name = self.write_object(kind, self._collect(kind, details), definition.origin, None)
        return name, definition.origin

    def _name(self, role: str, value: Any) -> str:
        name = f"{role}_{len(self._names)}"
        self._names[name] = value
        return name


def _is_second(parameters: Sequence[Parameter], name: str) -> bool:
    """Whether the parameter of that name is given by its place as well, after the object."""
    return len(parameters) > 1 and parameters[1].name == name and parameters[1].kind is Parameter.POSITIONAL_OR_KEYWORD


def _present(kind: GraphQLOutputType) -> Any:
    return kind.of_type if isinstance(kind, GraphQLNonNull) else kind


def _inner(kind: GraphQLList[Any]) -> Any:
    return kind.of_type.of_type if isinstance(kind.of_type, GraphQLNonNull) else kind.of_type
