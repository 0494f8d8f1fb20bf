"""How this command is called where it was called: what messages and hints name can be typed as it stands."""

import shlex
import shutil
import sys
from pathlib import Path

NAME = "openmcp-apiserver"


def own_command() -> str:
    """Its name where that finds it, else its file."""
    called, found = Path(sys.argv[0]), shutil.which(NAME)
    if called.name != NAME or (found is not None and called.exists() and Path(found).samefile(called)):
        return NAME
    return shlex.quote(str(called if called.is_absolute() or "/" in sys.argv[0] else called.absolute()))
