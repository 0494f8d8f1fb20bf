"""How fields are declared: each with a description that says its unit."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import strawberry
from msgspec import Struct

F = TypeVar("F", bound=Callable[..., Any])

SHARED_BY, BATCHED, VIEWS, COLUMN = "shared_by", "batched", "views", "column"
"""The keys of a field's metadata."""


class Batched(Struct, frozen=True):
    """How a field's values are read for a whole list.

    `load(context, models)` gives what is loaded of each, None for nothing, and raises where any is not loaded, or its
    loading failed; `build(model, found)` makes the field's object of it, and depends on them alone.
    """

    load: Callable[[Any, Sequence[Any]], list[Any]]
    build: Callable[[Any, Any], Any]


def of_model(description: str, name: str | None = None) -> Any:
    """A plain field whose value is the model's attribute of the same Python name (`graph.types.views`)."""
    field: Any = strawberry.field(description=description, name=name)
    field.init = False  # Strawberry's own argument for it is ignored
    return field


def resolved(
    description: str,
    name: str | None = None,
    *,
    shared_by: Sequence[str] = (),
    batched: Batched | None = None,
    views: bool = False,
    column: Callable[[Sequence[Any]], list[Any]] | None = None,
) -> Callable[[F], F]:
    """A field whose value the decorated function gives. To type checkers it stays that function.

    `shared_by`: attributes of the model that decide, within a request, what a resolver gives: it is called once for
    all objects of a list that agree in them, and with an `info` once a request. `batched`: how it is read for many
    objects at once. `views`: it gives `Views`, which are read by columns. `column`: what it gives for each of
    many models.
    """

    def declare(resolver: F) -> F:
        metadata = {SHARED_BY: tuple(shared_by), BATCHED: batched, VIEWS: views, COLUMN: column}
        field: Any = strawberry.field(resolver=resolver, description=description, name=name, metadata=metadata)
        return field  # type: ignore[no-any-return]  # Strawberry's field takes the function's place in the class

    return declare
