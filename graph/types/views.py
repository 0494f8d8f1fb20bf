"""What views of models share."""

from typing import Any, Generic, Self, TypeVar

from fleet.model.ordered import LazySequence

W = TypeVar("W")
M = TypeVar("M")


class View(Generic[M]):
    """Reads from `model` what the view itself does not hold.

    Fields declared with `of_model` are never set: looking them up falls through to the model's attribute of that name.
    """

    model: M

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a copy or a debugger asks before there is a model
            raise AttributeError(name)
        return getattr(self.model, name)


class PureView(View[M]):
    """A view that its model alone determines."""

    def __init__(self, *, model: M) -> None:
        self.model = model

    @classmethod
    def from_model(cls, model: M) -> Self:
        return cls(model=model)


class Views(LazySequence[M, W]):
    """Views of the models in `source`. Each is a pure one, so what is made of it may be kept."""

    __slots__ = ()
