"""The code generator: writes the function that reads one selection of one object type.

For `{ name region }` of nodes, where `Node_7` is their class and `coerce_String_5` what core does with any other value:

    def read_Node_6(source):
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
from inspect import Parameter
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
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet
from msgspec import Struct
from strawberry.types.field import StrawberryField

from fleet.model.ordered import LazySequence
from graph.compiled.calls import DirectField, lazy_class
from graph.compiled.encoded import ListEncoder
from graph.compiled.fields import NotCompilable, convert_arguments, find_attribute, find_definition, find_field
from graph.compiled.leaves import PLAIN, Bailout, are_floats, build_coercion, find_check
from graph.types.views import View, Views

Collect = Callable[[GraphQLObjectType, Sequence[FieldDetails]], GroupedFieldSet]
Arguments = Callable[[GraphQLField, FieldNode], dict[str, Any]]
Read = Callable[[Any], dict[str, Any]]
FindEncoder = Callable[[GraphQLObjectType, Sequence[FieldDetails], Callable[[], Read]], ListEncoder]

LISTS = frozenset((list, tuple, Views, LazySequence))
"""Classes of lists that are what they look like."""

MOST_ITEMS = 250
"""Objects of a list that are read at a stretch; longer lists are completed a turn of the loop at a time."""

_FILES = itertools.count()
_TYPENAME = "__typename"
_LARGE = frozenset({"JSON"})
"""Scalars whose values are as large as one likes."""


class Reader(Struct, frozen=True):
    """A generated function and what it leaves to core.

    `read(source)` gives the answer's object, with None in the place of the fields in `direct` and `rest`; it raises
    anything at all where core has to look at the object itself. `origin` is the class of the sources it reads. Fields
    are direct where all that are not plain can be: their order, and so that of their errors, stays the selection's.
    """

    read: Read
    direct: tuple[DirectField, ...]
    rest: GroupedFieldSet
    origin: type
    small: bool


def build_reader(kind: GraphQLObjectType, selection: GroupedFieldSet, writer: "CodeWriter") -> Reader | None:
    """The reader of a selection, None where core has to do all of it."""
    definition = find_definition(kind)
    if definition is None:
        return None
    rest: GroupedFieldSet = {}
    name = writer.write_object(kind, selection, definition.origin, rest)
    read, small = writer.compile(name), not writer.large
    direct = tuple(found for key, details in rest.items() if (found := writer.find_direct(kind, key, details)))
    if len(direct) == len(rest):
        return Reader(read=read, direct=direct, rest={}, origin=definition.origin, small=small)
    if len(rest) == len(selection):
        return None
    return Reader(read=read, direct=(), rest=rest, origin=definition.origin, small=small)


def find_root_fields(
    kind: GraphQLObjectType, selection: GroupedFieldSet, writer: "CodeWriter"
) -> tuple[DirectField, ...] | None:
    """All fields of a root as direct ones, None where core has to do one of them."""
    found = [writer.find_direct(kind, key, details) for key, details in selection.items()]
    direct = tuple(field for field in found if field is not None)
    return direct if len(direct) == len(found) else None


class CodeWriter:
    """The text of one reader and of those it calls, and the names they are compiled with.

    With `find_encoder`, lists of views become text where the reader meets them.
    """

    def __init__(
        self, collect: Collect, arguments: Arguments, scalars: Any, config: Any, find_encoder: FindEncoder | None
    ) -> None:
        self._collect = collect
        self._arguments = arguments
        self._scalars = scalars
        self._config = config
        self._find = find_encoder
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
        text, file = "\n\n".join(self._functions), f"<generated {name}, {next(_FILES)}>"
        exec(compile(text, file, "exec"), self._names)  # noqa: S102 - the module's docstring says what the text holds
        found: Read = self._names[name]
        # Tracebacks and debuggers read lines from there. No time of change: a check of files leaves the entry alone.
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        weakref.finalize(found, linecache.cache.pop, file, None).atexit = False
        return found

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
            "\n".join([f"def {name}(source):", *head, "    result = {}", *lines, "    return result\n"])
        )
        return name

    def find_direct(self, kind: GraphQLObjectType, key: str, details: list[FieldDetails]) -> DirectField | None:
        """The field as one whose resolver is called directly, None where core has to do that."""
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
        read, origin = self._find_result(definition.type, details)
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
            read=read,
            origin=origin,
        )

    def _find_result(self, returned: GraphQLOutputType, details: list[FieldDetails]) -> tuple[Read | None, type | None]:
        """How a field's own object is read, and of what class it is, where all of its selection is plain."""
        kind = returned.of_type if isinstance(returned, GraphQLNonNull) else returned
        if not isinstance(kind, GraphQLObjectType):
            return None, None
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
        if field.base_resolver is None:
            if node.arguments:
                raise NotCompilable
            lines.append(f"    value = {find_attribute(field.python_name, origin)}")
        else:
            lines.append(f"    value = {self._write_call(definition, field, node)}")
        self._write_value(lines, definition.type, details, "    ")

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
            lines.append(f"{indent}value = {self.write_nested(kind, details)[0]}(value)")
        else:
            raise NotCompilable

    def _write_list(
        self, lines: list[str], kind: GraphQLList[Any], details: Sequence[FieldDetails], indent: str
    ) -> None:
        encoder = self._find_encoder(kind, details)
        if encoder is not None:
            lines.append(f"{indent}if type(value) is Views:")
            lines.append(f"{indent}    value = {self._name('encode', encoder)}(value)")
            lines.append(f"{indent}else:")
            indent += "    "
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

    def _find_encoder(self, kind: GraphQLList[Any], details: Sequence[FieldDetails]) -> ListEncoder | None:
        """What makes such a list text; None where lists stay lists, or have large values. Raises NotCompilable."""
        item = _inner(kind)
        if self._find is None or not isinstance(item, GraphQLObjectType):
            return None
        inner = self._another()
        name, _ = inner.write_nested(item, details)
        return None if inner.large else self._find(item, details, lambda: inner.compile(name))

    def _another(self) -> "CodeWriter":
        return CodeWriter(self._collect, self._arguments, self._scalars, self._config, self._find)

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


def _inner(kind: GraphQLList[Any]) -> Any:
    return kind.of_type.of_type if isinstance(kind.of_type, GraphQLNonNull) else kind.of_type
