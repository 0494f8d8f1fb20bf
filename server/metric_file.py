"""Where the file of the embedded metric store is: as the settings say, else with the user's state, else temporary."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.metrics.embedded.file import make_private
from server.settings.environment import SettingsInvalid
from server.settings.groups import Settings

DEFAULT_FILE = Path("~/.local/state/openmcp-apiserver/usage.sqlite")

_log = logging.getLogger(__name__)


@contextmanager
def open_metric_file(settings: Settings) -> Iterator[Settings]:
    """The settings with a file that is there, where they use one. Raises SettingsInvalid.

    Where none is named and the default can't be written, it is a temporary one until the `with` is left.
    """
    if not settings.metrics.uses_file:
        yield settings
        return
    named = settings.metrics.embedded_file
    try:
        file = named or DEFAULT_FILE.expanduser()
        make_private(file)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "there is no home directory"
        if named is not None:
            raise SettingsInvalid(
                [f"OPENMCP_EMBEDDED_FILE is '{named}', must be a file that can be written ({why})"]
            ) from error
        with _temporary_folder(why) as folder:
            yield _placed(settings, folder / DEFAULT_FILE.name)
        return
    yield _placed(settings, file)


def find_metric_file(settings: Settings) -> tuple[Path | None, str | None]:
    """The file that `open_metric_file` would take, None for a temporary one; and why it can't be had. Makes nothing."""
    named = settings.metrics.embedded_file
    try:
        file = named or DEFAULT_FILE.expanduser()
    except RuntimeError:
        return None, None
    nearest = next(path for path in (file, *file.parents) if os.access(path, os.F_OK))
    if os.access(nearest, os.W_OK) and nearest.is_dir() == (nearest != file):
        return file, None
    return (None, None) if named is None else (file, f"must be a file that can be written, {nearest} can't be")


@contextmanager
def _temporary_folder(why: str) -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="openmcp-apiserver-")
    except OSError as error:
        problem = (
            f"OPENMCP_EMBEDDED_FILE is not set, and neither {DEFAULT_FILE} ({why}) nor a temporary file can be "
            "written: name a file on a volume, or an InfluxDB with OPENMCP_INFLUX_URL"
        )
        raise SettingsInvalid([problem]) from error
    with folder as name:
        _log.warning(
            "usage is kept in %s and gone when the server ends, as %s can't be written (%s): "
            "OPENMCP_EMBEDDED_FILE names a file that lasts",
            name,
            DEFAULT_FILE,
            why,
        )
        yield Path(name)


def _placed(settings: Settings, file: Path) -> Settings:
    return settings.model_copy(update={"metrics": settings.metrics.model_copy(update={"embedded_file": file})})
