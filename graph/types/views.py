"""What views of models share."""

from typing import Any, TypeVar

from fleet.model.ordered import LazySequence

W = TypeVar("W")
M = TypeVar("M")


class View:
    """Reads from `model` what the view itself does not hold.

    Fields declared with `of_model` are never set: looking them up falls through to the model's attribute of that name.
    """

    model: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a copy or a debugger asks before there is a model
            raise AttributeError(name)
        return getattr(self.model, name)


class Views(LazySequence[M, W]):
    """Views of the models in `source`. Each is determined by its model alone, so what is made of one may be kept."""

    __slots__ = ()
