"""The npm packages of the clients, installed once for each lock file, outside the clone."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from realfleet.cache import cache_root

SOURCES = Path(__file__).parent
_RECIPE = ("package.json", "package-lock.json", ".npmrc")
_INSTALL_SECONDS = 300


def install_packages(npm: str, recipe: Path = SOURCES) -> Path:
    """The folder `node_modules`. AssertionError with npm's words where they can't be installed."""
    digest = hashlib.sha256(b"".join((recipe / name).read_bytes() for name in _RECIPE)).hexdigest()
    folder = cache_root() / f"clients-{digest[:12]}"
    if not (folder / "node_modules").is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as work:
            for name in _RECIPE:
                shutil.copy(recipe / name, work)
            command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
            done = subprocess.run(
                command, cwd=work, check=False, capture_output=True, text=True, timeout=_INSTALL_SECONDS
            )
            assert done.returncode == 0, f"npm ci ended with {done.returncode}:\n{done.stderr[-2000:]}"
            _publish(Path(work), folder)
    return folder / "node_modules"


def _publish(work: Path, folder: Path) -> None:
    """Gives the finished installation its name; another run may have been faster."""
    folder.mkdir(exist_ok=True)
    try:
        (work / "node_modules").rename(folder / "node_modules")
    except OSError:
        if not (folder / "node_modules").is_dir():
            raise
