"""How a setting is declared: its value's form, and what people are told of it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from server.settings.units import (
    check_networks,
    check_origins,
    expand_home,
    parse_bytes,
    parse_names,
    parse_paths,
    parse_seconds,
    parse_word,
    parse_words,
)

Seconds = Annotated[float, BeforeValidator(parse_seconds)]
Bytes = Annotated[int, BeforeValidator(parse_bytes)]
File = Annotated[Path, AfterValidator(expand_home)]
Word = BeforeValidator(parse_word)
Words = BeforeValidator(parse_words)
Names = Annotated[tuple[str, ...], BeforeValidator(parse_names)]
Networks = Annotated[Names, AfterValidator(check_networks)]
Origins = Annotated[Names, AfterValidator(check_origins)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(parse_paths)]


def setting(default: Any, text: str, *, values: str, aliases: tuple[str, ...] = (), **bounds: Any) -> Any:
    """A field: what it is for, what it may be (in words, for messages and the table), other names of its variable."""
    extra: dict[str, Any] = {"values": values, "aliases": list(aliases)}
    return Field(default, description=text, json_schema_extra=extra, **bounds)


class Group(BaseModel):
    """A concern's settings. Frozen, complete, and silent about secrets."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)
