"""`python -m release wheel | image`: what `make` calls; each command prints what it wrote."""

from pathlib import Path

import click

from release.image import build_image
from release.sbom import write_bill
from release.versions import ROOT
from release.wheel import build_wheel

into = click.option(
    "--into", type=click.Path(path_type=Path), default=ROOT / "build", help="The folder it is built into."
)


@click.group()
def main() -> None:
    """Builds what others run."""


@main.command()
@into
def wheel(into: Path) -> None:
    """Build the wheel."""
    click.echo(build_wheel(into.absolute()))


@main.command()
@into
@click.option("--fresh", is_flag=True, help="Use no layer of an earlier build.")
def image(into: Path, *, fresh: bool) -> None:
    """Build the image, an OCI archive, and its bill of materials."""
    archive = build_image(into.absolute(), fresh=fresh)
    click.echo(archive)
    click.echo(write_bill(archive))


if __name__ == "__main__":
    main()
