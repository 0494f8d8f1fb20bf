"""Lists of objects of one plain selection, read by columns: the values of one field of all objects, field by field.

An attribute's column is a loop in C, and so is its check; a resolver's is a call for each object. What is of an object
or a list type is completed by generated functions (`graph.compiled.codegen`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from graph.compiled.calls import SharedField
from graph.types.fields import Batched
from graph.types.views import View

_ROW_CLASSES = 512
_ENCODER = msgspec.json.Encoder()

encode: Callable[[Any], bytes] = _ENCODER.encode


class Chunk:
    """Some models of a list, and their views once a column needs them. `run` is the executor of the answer."""

    def __init__(self, run: Any, models: Sequence[Any], build: Callable[[Any], Any]) -> None:
        self.run = run
        self.models = models
        self.build = build

    @cached_property
    def views(self) -> list[Any]:
        return list(map(self.build, self.models))


Column = Callable[[Chunk], list[Any]]
"""The completed values of one field, one for each object of a chunk. Raises for what core has to look at."""


class BatchedField(Struct, frozen=True, eq=False):
    """A field with an info whose values pages load for all of their items; null where there is none.

    Resolvers say so by `batched` (`graph.types.fields`). `rows` reads what is selected of the values.
    """

    batched: Batched
    rows: "RowReader"

    def read(self, chunk: Chunk, found: Sequence[Any]) -> list[Any]:
        """The column, of what was found for each of the models."""
        models = (model for model, each in zip(chunk.models, found, strict=True) if each is not None)
        values = Chunk(
            chunk.run, [each for each in found if each is not None], lambda each: self.batched.build(next(models), each)
        )
        rows = iter(self.rows.build(values, ()))
        return [None if each is None else next(rows) for each in found]


Stamped = SharedField | BatchedField
"""Fields that show more than their object: their columns are found for each request (`graph.compiled.encoded`)."""


class RowReader:
    """One selection of one type, and those of its fields that are stamped, in order."""

    def __init__(self, columns: Mapping[str, Column | Stamped]) -> None:
        self._row = _build_row_class(tuple(columns))
        self._columns = list(columns.values())
        self.stamped = [column for column in self._columns if isinstance(column, Stamped)]

    def write_lines(self, chunk: Chunk, stamps: Sequence[Sequence[Any]]) -> list[bytes]:
        """The JSON of each object. `stamps` are those of its stamped fields, by columns."""
        lines = _ENCODER.encode_lines(self.build(chunk, stamps)).split(b"\n")
        lines.pop()
        return lines

    def write(self, chunk: Chunk, stamps: Sequence[Sequence[Any]]) -> bytes:
        """The JSON of all objects, separated by commas."""
        return _ENCODER.encode(self.build(chunk, stamps))[1:-1]

    def build(self, chunk: Chunk, stamps: Sequence[Sequence[Any]]) -> list[Struct]:
        found, columns = iter(stamps), []
        for column in self._columns:
            if isinstance(column, SharedField):
                columns.append(list(map(msgspec.Raw, next(found))))
            elif isinstance(column, BatchedField):
                columns.append(column.read(chunk, next(found)))
            else:
                columns.append(column(chunk))
        return list(map(self._row, *columns))


@lru_cache(maxsize=_ROW_CLASSES)
def _build_row_class(keys: tuple[str, ...]) -> type[Struct]:
    """A class whose instances are written as objects with these keys: quicker to make than dictionaries."""
    names = [f"f{place}" for place in range(len(keys))]
    rename = dict(zip(names, keys, strict=True))
    return msgspec.defstruct("Row", [(name, Any) for name in names], rename=rename, gc=False)


def constant_column(value: Any) -> Column:
    return lambda chunk: [value] * len(chunk.models)


def attribute_column(source: str, complete: Callable[[list[Any], Any], list[Any]]) -> Column:
    """Of `model.NAME` or `source.NAME`, as `find_attribute` gives it."""
    owner, _, name = source.partition(".")
    read = attrgetter(name)
    if owner == "model":
        return lambda chunk: complete(list(map(read, chunk.models)), chunk.run)
    return lambda chunk: complete(list(map(read, chunk.views)), chunk.run)


def model_column(read: Callable[[Sequence[Any]], list[Any]], complete: Callable[[list[Any], Any], list[Any]]) -> Column:
    return lambda chunk: complete(read(chunk.models), chunk.run)


def distinct_column(key_of: Callable[[Any], Any], column: Column) -> Column:
    """A column whose values are the same for models that have the same key: those are read once."""

    def read(chunk: Chunk) -> list[Any]:
        keys = list(map(key_of, chunk.models))
        models = dict(zip(keys, chunk.models, strict=True))
        values = column(Chunk(chunk.run, list(models.values()), chunk.build))
        return list(map(dict(zip(models, values, strict=True)).__getitem__, keys))

    return read


def resolver_column(
    resolve: Callable[..., Any], given: Mapping[str, Any], complete: Callable[[list[Any], Any], list[Any]]
) -> Column:
    if given:
        return lambda chunk: complete([resolve(view, **given) for view in chunk.views], chunk.run)
    return lambda chunk: complete(list(map(resolve, chunk.views)), chunk.run)


def write_one(rows: RowReader, view: Any, run: Any) -> msgspec.Raw:
    """The JSON of one object. Raises for what core has to look at."""
    model = view.model if isinstance(view, View) else view
    stamps = [
        [encode(field(run, view))] if isinstance(field, SharedField) else field.batched.load(run.context_value, [model])
        for field in rows.stamped
    ]
    return msgspec.Raw(rows.write(Chunk(run, [model], lambda _: view), stamps))
