"""Credentials from an exec plugin: a program that prints an ExecCredential.

Source: Kubernetes, "Authenticating", section client-go credential plugins; client.authentication.k8s.io/v1 and v1beta1.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from fleet.aio.complaints import Complaints
from fleet.kubernetes.auth.authorizers import CredentialError, is_token
from fleet.kubernetes.auth.kubeconfig_entries import ExecEntry
from fleet.model.unreadable import UNREADABLE

logger = logging.getLogger(__name__)

_COMPLAINTS = Complaints()
"""Of all plugins: one that fails is run again and again, by whoever needs it."""

# A token is asked for anew this long before it ends, in seconds.
_SKEW = 10.0
_MAX_OUTPUT_SHOWN = 300
# How long what was killed is waited for.
_END_SECONDS = 1.0
_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
# kubectl wants it said with v1, and means IfAvailable without.
_MODES = (None, "", "Never", "IfAvailable")


@dataclass(frozen=True)
class ExecPlugin:
    """How the plugin is run; `cluster` is what it is told of its cluster, where `provideClusterInfo` says so."""

    command: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = field(repr=False)
    api_version: str
    install_hint: str | None = None
    cluster: Mapping[str, Any] | None = None


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _Status


@dataclass(frozen=True)
class ExecCredential:
    """What a plugin gave: a token, a client certificate with its key, or both. `expires_at` is in Unix seconds."""

    token: str | None
    certificate: bytes | None
    key: bytes | None
    expires_at: float | None

    @property
    def expired(self) -> bool:
        """Whether it ends within seconds."""
        return self.expires_at is not None and self.expires_at - _SKEW <= time.time()


def build_exec_plugin(entry: ExecEntry, folder: Path, cluster: Mapping[str, Any]) -> ExecPlugin:
    """Reads a kubeconfig's `exec`; a relative path in it is relative to `folder`. Raises ValueError."""
    command = entry.command
    if not command:
        raise ValueError("exec.command is missing")
    if entry.api_version not in _VERSIONS:
        raise ValueError("exec.apiVersion must be client.authentication.k8s.io/v1 or v1beta1")
    if entry.interactive_mode not in _MODES:
        raise ValueError("exec.interactiveMode must be Never or IfAvailable: there is no terminal here")
    variables = entry.env or []
    if not all(variable.name for variable in variables):
        raise ValueError("each entry of exec.env must have a name")
    if "/" in command and not Path(command).is_absolute():
        command = str(folder / command)
    return ExecPlugin(
        command,
        tuple(argument or "" for argument in entry.args or ()),
        tuple((variable.name or "", variable.value or "") for variable in variables),
        entry.api_version or "",
        entry.install_hint,
        dict(cluster) if entry.provide_cluster_info else None,
    )


async def load_exec_credential(plugin: ExecPlugin, timeout: float) -> ExecCredential:
    """Runs the plugin and reads what it prints, within `timeout` seconds. Raises CredentialError."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = dict(plugin.cluster)
    request = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    environment = {**os.environ, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": json.dumps(request)}
    output = await _run(plugin, environment, timeout)
    try:
        credential = msgspec.json.decode(output, type=_ExecCredential)
    except UNREADABLE as error:
        raise CredentialError(f"exec plugin {plugin.command}: its output is no ExecCredential: {error}") from error
    if credential.api_version != plugin.api_version:
        raise CredentialError(
            f"exec plugin {plugin.command}: it answers {credential.api_version[:100]}, exec.apiVersion asks for "
            f"{plugin.api_version}: make them the same"
        )
    return _check(plugin, credential.status)


def _check(plugin: ExecPlugin, status: _Status) -> ExecCredential:
    token = status.token or None
    if token is not None and not is_token(token):
        raise CredentialError(f"exec plugin {plugin.command}: its token holds characters that no token has")
    certificate, key = status.client_certificate_data, status.client_key_data
    if bool(certificate) != bool(key):
        raise CredentialError(f"exec plugin {plugin.command}: it gives a certificate or a key, but not both")
    if token is None and not certificate:
        raise CredentialError(f"exec plugin {plugin.command}: its ExecCredential has neither token nor certificate")
    return ExecCredential(
        token,
        certificate.encode() if certificate else None,
        key.encode() if key else None,
        None if status.expiration_timestamp is None else status.expiration_timestamp.timestamp(),
    )


async def _run(plugin: ExecPlugin, environment: Mapping[str, str], timeout: float) -> bytes:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # asyncio itself would wait for a plugin's child that holds the pipes, were it cancelled while it starts one.
        with contextlib.suppress(OSError, ValueError):
            await _end(await starting)
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a name or value can't be passed on"
        hint = f"; {plugin.install_hint[:_MAX_OUTPUT_SHOWN]}" if plugin.install_hint else ""
        raise CredentialError(f"exec plugin {plugin.command} can't be started: {reason}{hint}") from error
    try:
        async with asyncio.timeout(timeout):
            output, said = await process.communicate()
    except TimeoutError as error:
        raise CredentialError(f"exec plugin {plugin.command}: it did not end within {timeout:g} s") from error
    finally:
        if process.returncode is None:
            await _end(process)
    if process.returncode != 0:
        # What it says may hold secrets or addresses of the machine: for operators, never for callers.
        text = said.decode(errors="replace").strip()[-_MAX_OUTPUT_SHOWN:]
        if _COMPLAINTS.is_due((plugin.command, plugin.arguments), process.returncode):
            logger.warning("exec plugin %s ended with %d: %r", plugin.command, process.returncode, text or "no message")
        raise CredentialError(f"exec plugin {plugin.command} ended with {process.returncode}; the log has its words")
    return output


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kills it with whatever it started: a child that is left holds the pipes, and only their end is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):  # of a child that left the group
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()


class ExecAuthorizer:
    """Runs a plugin when its token ends or is refused; `timeout` bounds a run in seconds."""

    def __init__(self, plugin: ExecPlugin, timeout: float, credential: ExecCredential | None = None) -> None:
        self._plugin = plugin
        self._timeout = timeout
        self._credential = credential
        self._lock = asyncio.Lock()

    async def authorization(self) -> str | None:
        """The plugin's token, or None where it gives a client certificate."""
        if self._credential is None or self._credential.expired:
            async with self._lock:  # many requests, one run
                if self._credential is None or self._credential.expired:
                    self._credential = await load_exec_credential(self._plugin, self._timeout)
        token = self._credential.token
        return None if token is None else f"Bearer {token}"

    def forget(self) -> None:
        """Runs the plugin again for the next request, where it gives tokens."""
        if self._credential is not None and self._credential.token is not None:
            self._credential = None
