"""What windows on models share."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload


class View:
    """Reads from `model` what the window itself does not hold.

    Fields declared with `of_model` are never set: looking them up falls through to the model's attribute of that name.
    """

    model: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a copy or a debugger asks before there is a model
            raise AttributeError(name)
        return getattr(self.model, name)


W = TypeVar("W")
M = TypeVar("M")


class Views(Sequence[W], Generic[M, W]):
    """Views on models, each made when it is read: who reads the models themselves makes none.

    `build` gives a window that its model alone determines.
    """

    __slots__ = ("build", "models")

    def __init__(self, build: Callable[[M], W], models: Sequence[M]) -> None:
        self.build = build
        self.models = models

    def __len__(self) -> int:
        return len(self.models)

    @overload
    def __getitem__(self, index: int) -> W: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[W]: ...

    def __getitem__(self, index: int | slice) -> W | Sequence[W]:
        if isinstance(index, slice):
            return Views(self.build, self.models[index])
        return self.build(self.models[index])

    def __iter__(self) -> Iterator[W]:
        return map(self.build, self.models)


class Rows(Sequence[W]):
    """Objects that are made when they are read, by their place; of anything, so that none of them is remembered."""

    __slots__ = ("_build", "_places")

    def __init__(self, build: Callable[[int], W], places: range) -> None:
        self._build = build
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> W: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[W]: ...

    def __getitem__(self, index: int | slice) -> W | Sequence[W]:
        if isinstance(index, slice):
            return Rows(self._build, self._places[index])
        return self._build(self._places[index])

    def __iter__(self) -> Iterator[W]:
        return map(self._build, self._places)
