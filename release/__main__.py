"""`python -m release wheel`: what `make` calls; each command prints what it wrote."""

from pathlib import Path

import click

from release.versions import ROOT
from release.wheel import build_wheel


@click.group()
def main() -> None:
    """Builds what others run."""


@main.command()
@click.option("--into", type=click.Path(path_type=Path), default=ROOT / "build", help="The folder it is built into.")
def wheel(into: Path) -> None:
    """Build the wheel."""
    click.echo(build_wheel(into.absolute()))


if __name__ == "__main__":
    main()
