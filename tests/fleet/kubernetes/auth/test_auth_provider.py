"""The `oidc` auth-provider against an issuer on loopback."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fleet.kubernetes.auth.auth_provider import ProviderAuthorizer
from fleet.kubernetes.auth.authorizers import CredentialError
from tests.fleet.kubernetes.certificates import Authority, server_context
from tests.fleet.kubernetes.servers import open_http_server

AUTHORITY = Authority()


def token(name: str, exp: int) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": exp}).encode()).decode().rstrip("=")
    return f"{name}.{claims}.c2ln"


OLD, NEW = token("old", 1_500_000_000), token("new", 4_102_444_800)


@asynccontextmanager
async def open_issuer(folder: Path, asked: list[str]) -> AsyncIterator[str]:
    async def serve(request: web.BaseRequest) -> web.Response:
        if request.path == "/.well-known/openid-configuration":
            return web.json_response({"token_endpoint": f"https://{request.host}/token"})
        asked.append(f"{request.headers['Authorization']} {await request.text()}")
        return web.json_response({"id_token": NEW})

    async with open_http_server(serve, tls=server_context(AUTHORITY.issue("127.0.0.1"), folder)) as url:
        yield url


def provider(url: str, **more: str) -> ProviderAuthorizer:
    config: dict[str, Any] = {"idp-issuer-url": url, "client-id": "us", "client-secret": "s", "id-token": OLD, **more}
    user = {"auth-provider": {"name": "oidc", "config": config}}
    return ProviderAuthorizer("https://a.example", user, 5)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes], ids=["one line", "lines"])
async def test_an_ended_token_is_refreshed(encode: Callable[[bytes], bytes], tmp_path: Path) -> None:
    asked: list[str] = []
    ca = encode(AUTHORITY.pem).decode()
    async with open_issuer(tmp_path, asked) as url:
        authorizer = provider(url, **{"refresh-token": "again", "idp-certificate-authority-data": ca})
        assert await authorizer.authorization() == f"Bearer {NEW}"
        authorizer.forget()
        assert await authorizer.authorization() == f"Bearer {NEW}"
    assert asked == ["Basic " + base64.b64encode(b"us:s").decode() + " grant_type=refresh_token&refresh_token=again"]


async def test_an_issuer_that_can_not_be_verified_gets_nothing(tmp_path: Path) -> None:
    asked: list[str] = []
    async with open_issuer(tmp_path, asked) as url:
        with pytest.raises(CredentialError, match="gives no token") as raised:
            await provider(url, **{"refresh-token": "again"}).authorization()
    assert asked == []
    assert "again" not in str(raised.value)


async def test_without_a_refresh_token_one_has_to_sign_in() -> None:
    with pytest.raises(CredentialError, match="sign in again"):
        await provider("https://127.0.0.1:1").authorization()
