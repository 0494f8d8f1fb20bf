"""`python -m release wheel | image | release VERSION`: what `make` calls; each command prints what it wrote."""

from pathlib import Path

import click

from release.cut import ReleaseRefusedError, build_release, commit_release, tag_release
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


@main.command()
@click.argument("version")
@click.option("--without-image", is_flag=True, help="Leave out what takes minutes.")
def release(version: str, *, without_image: bool) -> None:
    """Commit, build into build/release and tag a version. Nothing is pushed."""
    try:
        commit_release(version)
    except ReleaseRefusedError as error:
        raise click.ClickException(str(error)) from error
    for path in build_release(ROOT / "build" / "release", version, image=not without_image):
        click.echo(path)
    tag_release(version)
    click.echo(f"tagged v{version}; to give it to others: git push --follow-tags, and the files above")


if __name__ == "__main__":
    main()
