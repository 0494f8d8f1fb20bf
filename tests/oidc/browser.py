"""What `openmcp-apiserver login` opens in tests: signs in as a person would, and follows back.

Arguments: the issuer, its CA file or nothing, who signs in, the URL.
"""

import asyncio
import sys
from pathlib import Path

import aiohttp

from tests.oidc.issuer import RunningIssuer


def build_browser(issuer: RunningIssuer, login: str, *, path: Path) -> str:
    """A program for the variable BROWSER."""
    root = Path(__file__).parents[2]
    arguments = f"{issuer.url} '{issuer.ca_file or ''}' {login}"
    path.write_text(f'#!/bin/sh\ncd {root} && exec {sys.executable} -m tests.oidc.browser {arguments} "$1"\n')
    path.chmod(0o700)
    return f"{path} %s"


async def main(url: str, ca_file: str, login: str, begin: str) -> None:
    back = await RunningIssuer(url, Path(ca_file) if ca_file else None).browse(begin, login)
    async with aiohttp.ClientSession() as session, session.get(back) as answer:
        assert answer.status == 200


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
