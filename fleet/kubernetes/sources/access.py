"""From what a kubeconfig or a KubeFedCluster says to something that connections can be opened to."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import msgspec

from fleet.kubernetes.auth.authorizers import (
    ANONYMOUS,
    Authorizer,
    CredentialError,
    TokenFileAuthorizer,
    basic,
    bearer,
    is_token,
)
from fleet.kubernetes.auth.endpoint import normalise_endpoint
from fleet.kubernetes.auth.exec_plugin import ExecAuthorizer, ExecCredential, load_exec_credential
from fleet.kubernetes.auth.kubeconfig import Access
from fleet.kubernetes.auth.tls import TlsMaterial, TlsMaterialError, build_ssl_context
from fleet.kubernetes.connection import Target
from fleet.kubernetes.sources.snapshots import fingerprint
from fleet.ports import Credential

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reachable:
    """A target and its fingerprint; `renew` is the plugin's credential where the connection ends with it."""

    target: Target
    fingerprint: str
    renew: ExecCredential | None = None

    @property
    def expired(self) -> bool:
        """Whether the client certificate of an exec plugin has ended, so that all has to be resolved anew."""
        return self.renew is not None and self.renew.expired

    @property
    def credential(self) -> Credential:
        """What the federation is told of it."""
        target = self.target
        server = normalise_endpoint(target.endpoint)
        seen_as = target.server_name or urlsplit(server).hostname
        return Credential(self.fingerprint, target.endpoint, fingerprint(server, seen_as, target.proxy))


def access_fingerprint(access: Access) -> str:
    """Changes exactly when connections made from an access must be made anew.

    The contents of a token file do not count: it is read again for each connection's requests.
    """
    tls, plugin = access.tls, access.plugin
    return fingerprint(
        access.endpoint,
        access.server_name,
        access.proxy,
        access.token,
        None if access.token_file is None else str(access.token_file),
        None if plugin is None else repr((plugin, plugin.environment)),
        None if access.basic is None else repr(access.basic),
        tls.ca,
        tls.client_certificate,
        tls.client_key,
        ",".join(sorted(tls.disabled)),
        None if access.provider is None else msgspec.json.encode(access.provider, order="deterministic"),
    )


async def load_reachable(owner: str, access: Access, timeout: float) -> Reachable:
    """Runs an exec plugin or reads a token file once, so that what is wrong is known now.

    `owner` is what says so, and begins messages; `timeout` is in seconds.

    Raises CredentialError and TlsMaterialError, whose messages say what to mend.
    """
    authorizer: Authorizer = ANONYMOUS
    material = access.tls
    renew: ExecCredential | None = None
    if access.token is not None and not is_token(access.token):
        raise CredentialError("token holds spaces or characters that no token has")
    if access.plugin is not None:
        credential = await load_exec_credential(access.plugin, timeout)
        authorizer = ExecAuthorizer(access.plugin, timeout, credential)
        if credential.certificate is not None and access.endpoint.startswith("https://"):
            material = replace(material, client_certificate=credential.certificate, client_key=credential.key)
            renew = credential
    elif access.token_file is not None:
        authorizer = TokenFileAuthorizer(access.token_file, first=access.token)
        if access.token is None:
            await authorizer.authorization()
    elif access.token is not None:
        authorizer = bearer(access.token)
    elif access.provider is not None:
        authorizer = await asyncio.to_thread(_build_provider, access.endpoint, access.provider, timeout)
        await authorizer.authorization()
    elif access.basic is not None:
        authorizer = basic(*access.basic)
    mark = access_fingerprint(access)
    if renew is not None:
        mark = fingerprint(mark, renew.certificate)
    return Reachable(build_target(owner, access, material, authorizer), mark, renew)


def _build_provider(endpoint: str, provider: Mapping[str, Any], timeout: float) -> Authorizer:
    # kubernetes_asyncio is 859 modules and 42 MiB: only for who has such an entry, and not on the event loop.
    from fleet.kubernetes.auth.auth_provider import ProviderAuthorizer

    return ProviderAuthorizer(endpoint, provider, timeout)


def build_target(owner: str, access: Access, material: TlsMaterial, authorizer: Authorizer) -> Target:
    """The target, with a warning in the log where its TLS is not fully verified. Raises TlsMaterialError."""
    secure = access.endpoint.startswith("https://")
    if secure and material.disabled:
        what = ", ".join(sorted(material.disabled))
        logger.warning("%s: TLS validation is switched off: %s", owner, what.replace("*", "all (*)"))
    return Target(
        endpoint=access.endpoint,
        tls=build_ssl_context(material) if secure else None,
        authorizer=authorizer,
        server_name=access.server_name,
        proxy=access.proxy,
    )


__all__ = ["CredentialError", "Reachable", "TlsMaterialError", "access_fingerprint", "build_target", "load_reachable"]
