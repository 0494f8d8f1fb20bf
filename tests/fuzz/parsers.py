"""Every parser of outside text, with what is fed to it and the errors that it documents."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Parser:
    """`call` with any of `inputs` returns or raises one of `errors`. `names` are the functions whose test this is."""

    call: Callable[[Any], object]
    inputs: st.SearchStrategy[Any]
    errors: tuple[type[Exception], ...] = ()
    names: tuple[str, ...] = ()

    @property
    def all_names(self) -> tuple[str, ...]:
        """`module.function` of each."""
        return self.names or (f"{self.call.__module__}.{self.call.__qualname__}",)
