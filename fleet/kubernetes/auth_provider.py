"""Credentials from a kubeconfig's `auth-provider` (oidc, gcp), which kubernetes_asyncio knows how to refresh."""

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

import aiohttp
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException
from kubernetes_asyncio.config.kube_config import KubeConfigLoader

from fleet.kubernetes.credentials import CredentialError

# The loader looks at the token's own end each time; asking it for each request would be waste.
_MAX_AGE = 30.0


class ProviderAuthorizer:
    """Asks kubernetes_asyncio's loader, with a configuration of its own; the kubeconfig file is never written to."""

    def __init__(self, server: str, user: Mapping[str, Any], timeout: float) -> None:
        config = {
            "current-context": "member",
            "contexts": [{"name": "member", "context": {"cluster": "member", "user": "member"}}],
            "clusters": [{"name": "member", "cluster": {"server": server}}],
            "users": [{"name": "member", "user": {"auth-provider": copy.deepcopy(user["auth-provider"])}}],
        }
        self._loader = KubeConfigLoader(config)
        self._timeout = timeout
        self._value: str | None = None
        self._loaded_at = 0.0
        self._lock = asyncio.Lock()

    async def authorization(self) -> str | None:
        """The provider's token. Raises CredentialError."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._value is None or now - self._loaded_at >= _MAX_AGE:
                self._value = await self._load()
                self._loaded_at = now
            return self._value

    def forget(self) -> None:
        """Asks the provider again for the next request."""
        self._value = None

    async def _load(self) -> str:
        configuration = Configuration()
        try:
            async with asyncio.timeout(self._timeout):
                await self._loader.load_and_set(configuration)
            return str(configuration.api_key["BearerToken"])
        except (
            ConfigException,
            aiohttp.ClientError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            # The loader meets a wrong configuration in all these ways; none of them may hold the token's text.
            reason = str(error) if isinstance(error, ConfigException) else type(error).__name__
            raise CredentialError(f"the auth-provider gives no token: {reason[:200]}") from error
