"""What windows on models share."""

from typing import Any


class Window:
    """Reads from `model` what the window itself does not hold.

    Fields declared with `of_model` are never set: looking them up falls through to the model's attribute of that name.
    """

    model: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a copy or a debugger asks before there is a model
            raise AttributeError(name)
        return getattr(self.model, name)
