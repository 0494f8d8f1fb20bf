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
import textwrap
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from types import CodeType
from typing import Any

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
from msgspec import Struct
from strawberry.types.field import StrawberryField

from fleet.aio.lru import Lru
from fleet.model.ordered import LazySequence
from graph.compiled.calls import Read
from graph.compiled.encoded import ListEncoder
from graph.compiled.fields import NotCompilable, find_attribute, find_definition, find_field
from graph.compiled.finder import FieldFinder, Operation, inner, present
from graph.compiled.leaves import PLAIN, Bailout, are_floats, build_coercion, find_check
from graph.types.fields import VIEWS
from graph.types.views import View, Views

LISTS = frozenset((list, tuple, Views, LazySequence))
"""Classes of lists that are what they look like."""

MOST_ITEMS = 250
"""Objects of a list that are read at a stretch; longer lists are completed a turn of the loop at a time."""

_FILES = itertools.count()
_MAX_CODES = 8 << 20
_A_CHARACTER = 4
"""Bytes that a character comes to, in text and code."""

TYPENAME = "__typename"
LARGE = frozenset({"JSON"})
"""Scalars whose values are as large as one likes."""


class _Source(Struct, frozen=True, gc=False):
    """A module's loader, as far as tracebacks and debuggers ask one for its lines (PEP 302)."""

    text: str

    def get_source(self, name: str) -> str:
        return self.text


_codes: Lru[str, CodeType] = Lru(most_weight=_MAX_CODES)
"""For the process: of documents that differ in some aliases or constants, much text is the same."""


def _compile_text(text: str) -> CodeType:
    code = _codes.get(text)
    if code is None:
        code = compile(text, f"generated {next(_FILES)}", "exec")
        _codes.put(text, code, _A_CHARACTER * len(text))
    return code


def _compile(functions: Sequence[str], names: dict[str, Any], name: str) -> Read:
    """The function of that name. Those that it calls are in its closure: in its globals they would be a circle."""
    text = "\n".join(("def make():", *(textwrap.indent(each, "    ") for each in functions), f"    return {name}"))
    names.update(__name__=name, __loader__=_Source(text))
    exec(_compile_text(text), names)  # noqa: S102 - the module's docstring says what the text holds
    found: Read = names.pop("make")()
    return found


class CodeWriter(FieldFinder):
    """The text of one reader and of those it calls, and the names they are compiled with."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation)
        self._names: dict[str, Any] = {
            "Bailout": Bailout,
            "Views": Views,
            "LISTS": LISTS,
            "PLAIN": PLAIN,
            "Undefined": Undefined,
        }
        self._functions: list[str] = []
        self.large = False

    @abstractmethod
    def find_encoder(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> ListEncoder | None:
        """What makes lists of such objects text; None where lists stay lists, have large values, or are not plain."""

    def finish(self, name: str) -> Callable[[], Read]:
        return partial(_compile, tuple(self._functions), self._names, name)

    def write_object(
        self, kind: GraphQLObjectType, selection: GroupedFieldSet, origin: type, rest: GroupedFieldSet | None
    ) -> str:
        """Writes the function of a selection. Fields not plain go to `rest`; NotCompilable where there is none."""
        lines: list[str] = []
        for key, details in selection.items():
            field = details[0].node.name.value
            before = len(lines)
            try:
                if field == TYPENAME:
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

    def _write_field(
        self, lines: list[str], kind: GraphQLObjectType, name: str, details: Sequence[FieldDetails], origin: type
    ) -> None:
        definition, field = find_field(kind, name)
        node = details[0].node
        shared = self.find_shared(kind, field, details, by_columns=False)
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
        kind = present(returned)
        if not field.metadata.get(VIEWS) or not isinstance(kind, GraphQLList):
            return None
        item = inner(kind)
        return self.find_encoder(item, details) if isinstance(item, GraphQLObjectType) else None

    def _write_call(self, definition: GraphQLField, field: StrawberryField, node: FieldNode) -> str:
        resolver = field.base_resolver
        if resolver is None or resolver.info_parameter is not None or field.is_async:
            raise NotCompilable
        named = self.arguments_of(definition, field, node)
        function = self._name(f"resolve_{node.name.value}", resolver.wrapped_func)
        return f"{function}(source, **{self._name('given', named)})" if named else f"{function}(source)"

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
            self.large = self.large or kind.name in LARGE
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
        if is_object_type(inner(kind)):  # core completes a longer list, and lets others have the loop meanwhile
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

    def write_nested(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> tuple[str, type]:
        definition = find_definition(kind)
        if definition is None:
            raise NotCompilable
        name = self.write_object(kind, self._operation.collect(kind, details), definition.origin, None)
        return name, definition.origin

    def _name(self, role: str, value: Any) -> str:
        name = f"{role}_{len(self._names)}"
        self._names[name] = value
        return name
