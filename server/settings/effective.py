"""What counts now, and where each value is from."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from pydantic import SecretStr

from server.settings.environment import MASK, find_value, list_variables, load_settings, mask_user, read_config
from server.settings.groups import Settings


class Effective(Struct, frozen=True):
    """`value` is text, or a list of it, or None where there is none; a secret is masked. `source` is for people."""

    name: str
    value: str | list[str] | None
    source: str
    is_default: bool


def list_effective(environ: Mapping[str, str], config_file: Path | None) -> list[Effective]:
    """Every setting. Raises SettingsInvalid."""
    settings, written = load_settings(environ, config_file), read_config(config_file)
    untold = load_settings({})
    found = []
    for variable in list_variables():
        value = getattr(getattr(settings, variable.group), variable.field)
        if (given := find_value(variable, environ)) is not None:
            source = given[0]
        elif find_value(variable, written) is not None:
            source = str(config_file)
        else:
            is_default = value == getattr(getattr(untold, variable.group), variable.field)
            source = "default" if is_default else "KUBECONFIG, where it runs, or another setting"
        found.append(Effective(variable.name, _show(value), source, source == "default"))
    return found


def list_changed(settings: Settings, groups: Collection[str]) -> list[str]:
    """Of these groups what is not the default, as `NAME=value`."""
    return [
        f"{variable.name}={_show(value)}"
        for variable in list_variables()
        if variable.group in groups
        and (value := getattr(getattr(settings, variable.group), variable.field)) != variable.info.default
    ]


def _show(value: Any) -> str | list[str] | None:
    if value is None or value == ():
        return None
    if isinstance(value, tuple):
        return [str(_show(part)) for part in value]
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}s" if isinstance(value, float) else mask_user(str(value))
