"""How fields are declared: each with a description that says its unit."""

from collections.abc import Callable
from typing import Any, TypeVar

import strawberry

F = TypeVar("F", bound=Callable[..., Any])


def of_model(description: str, name: str | None = None) -> Any:
    """A plain field whose value is the model's attribute of the same Python name (`graph.types.views`)."""
    field: Any = strawberry.field(description=description, name=name)
    field.init = False  # Strawberry's own argument for it is ignored
    return field


def resolved(description: str, name: str | None = None) -> Callable[[F], F]:
    """A field whose value the decorated function gives. To type checkers it stays that function."""

    def declare(resolver: F) -> F:
        field: Any = strawberry.field(resolver=resolver, description=description, name=name)
        return field  # type: ignore[no-any-return]  # Strawberry's field takes the function's place in the class

    return declare
