"""Credentials from a kubeconfig's `auth-provider` (oidc, gcp), read by kubernetes_asyncio's loader.

Source: Kubernetes, "Authenticating", section OpenID Connect Tokens; OpenID Connect Discovery 1.0; RFC 6749 section 6.
"""

import asyncio
import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException
from kubernetes_asyncio.config.kube_config import KubeConfigLoader

from fleet.aio.files import read_bytes
from fleet.kubernetes.auth.authorizers import CredentialError, basic
from fleet.kubernetes.auth.encoding import decode_base64
from fleet.kubernetes.auth.tls import TlsMaterial, build_ssl_context
from fleet.model.unreadable import UNREADABLE

# The loader looks at the token's own end each time; asking it for each request would be waste.
_MAX_AGE = 30.0


class ProviderAuthorizer:
    """Asks kubernetes_asyncio's loader, with a configuration of its own; the kubeconfig file is never written to.

    So a refresh token that its issuer replaces is kept in memory only.
    """

    def __init__(self, server: str, user: Mapping[str, Any], timeout: float) -> None:
        config = {
            "current-context": "member",
            "contexts": [{"name": "member", "context": {"cluster": "member", "user": "member"}}],
            "clusters": [{"name": "member", "cluster": {"server": server}}],
            "users": [{"name": "member", "user": {"auth-provider": copy.deepcopy(user["auth-provider"])}}],
        }
        self._config = config
        self._timeout = timeout
        self._value: str | None = None
        self._loaded_at = 0.0
        self._lock = asyncio.Lock()

    async def authorization(self) -> str | None:
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._value is None or now - self._loaded_at >= _MAX_AGE:
                self._value = await self._load()
                self._loaded_at = now
            return self._value

    def forget(self) -> None:
        self._value = None

    async def _load(self) -> str:
        configuration = Configuration()
        try:
            async with asyncio.timeout(self._timeout):
                await _Loader(self._config).load_and_set(configuration)
            return str(configuration.api_key["BearerToken"])
        except (
            ConfigException,
            aiohttp.ClientError,
            OSError,
            LookupError,
            *UNREADABLE,
            TypeError,
        ) as error:
            # The loader meets a wrong configuration in all these ways; none of them may show the token's text.
            reason = str(error) if isinstance(error, ConfigException) else type(error).__name__
            raise CredentialError(f"the auth-provider gives no token: {reason[:200]}") from error


class _Discovery(msgspec.Struct):
    token_endpoint: str


class _Refreshed(msgspec.Struct):
    id_token: str
    refresh_token: str | None = None


class _Loader(KubeConfigLoader):
    """The library's loader, but an issuer is asked over verified TLS: its own way verifies nothing."""

    async def _refresh_oidc(self, provider: Any) -> None:
        config: dict[str, Any] = provider["config"].value
        if not config.get("refresh-token"):
            raise ConfigException("oidc: the id-token has ended and there is no refresh-token: sign in again")
        refreshed = await _refresh(config)
        config["id-token"] = refreshed.id_token
        config["refresh-token"] = refreshed.refresh_token or config["refresh-token"]


async def _refresh(config: Mapping[str, Any]) -> _Refreshed:
    """Asks the issuer for a new id-token. Raises what aiohttp and msgspec raise, LookupError and ConfigException."""
    issuer = str(config["idp-issuer-url"]).rstrip("/")
    client = basic(str(config["client-id"]), str(config.get("client-secret") or "")).value or ""
    connector = aiohttp.TCPConnector(ssl=build_ssl_context(TlsMaterial(ca=_issuer_authority(config))))
    async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:
        async with session.get(f"{issuer}/.well-known/openid-configuration", allow_redirects=False) as answer:
            found = msgspec.json.decode(await answer.read(), type=_Discovery)
        if urlsplit(issuer).scheme == "https" and urlsplit(found.token_endpoint).scheme != "https":
            raise ConfigException("oidc: the issuer names a token endpoint without TLS")
        form = {"grant_type": "refresh_token", "refresh_token": str(config["refresh-token"])}
        headers = {"Authorization": client}
        async with session.post(found.token_endpoint, data=form, headers=headers, allow_redirects=False) as answer:
            return msgspec.json.decode(await answer.read(), type=_Refreshed)


def _issuer_authority(config: Mapping[str, Any]) -> bytes | None:
    if config.get("idp-certificate-authority-data"):
        return decode_base64(str(config["idp-certificate-authority-data"]))
    path = config.get("idp-certificate-authority")
    return read_bytes(Path(str(path))) if path else None
