"""What commands that read the settings share: where these are read from, and how their work is run."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from auth.errors import AuthError
from fleet.model.errors import FleetError
from server.commands.errors import CliError
from server.event_loop import new_event_loop
from server.settings.environment import SettingsInvalid, load_settings, unknown_variables
from server.settings.groups import Settings

T = TypeVar("T")

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML with the same names as the environment, which wins.",
)


def load(config_file: Path | None, overrides: dict[str, str]) -> Settings:
    try:
        return load_settings({**os.environ, **overrides}, config_file)
    except SettingsInvalid as error:
        raise CliError(str(error)) from error


def doubt_environment() -> list[str]:
    """What is set but does nothing."""
    proxies = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
    return unknown_variables(os.environ) + [
        f"{name} leads to no cluster: name a cluster's proxy by its proxy-url or proxyURL"
        for name in proxies
        if os.environ.get(name)
    ]


def run(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Ended while still starting is ended well."""
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(start())
    except asyncio.CancelledError:
        sys.exit(0)
    except (SettingsInvalid, AuthError, FleetError) as error:
        raise CliError(str(error)) from error
    finally:
        gc.freeze()  # the interpreter's last collections would look at all that was held, for seconds
