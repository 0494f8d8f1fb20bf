"""How the clusters of ClusterProfiles are reached: their access providers, and the file that says which are run.

Source: KEP-5339 "Plugin for Credentials in ClusterProfile", and `pkg/access` of kubernetes-sigs/cluster-inventory-api:
of the file's providers the first that a profile has counts, and what a profile adds to a plugin's arguments and
environment is passed on only as far as the file says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import Struct
from msgspec.structs import replace

from fleet.aio.files import read_bytes
from fleet.kubernetes.auth.kubeconfig import Access, Section, build_access
from fleet.kubernetes.auth.kubeconfig_entries import ExecEntry, ExecVariable
from fleet.kubernetes.auth.kubeconfig_yaml import load_first_document
from fleet.kubernetes.sources.cluster_profile_objects import ClusterProfile
from fleet.kubernetes.sources.custom_objects import as_mappings

T = TypeVar("T")

_MOST_BYTES = 1024 * 1024
_ADDED_ARGUMENTS = "clusterprofiles.multicluster.x-k8s.io/exec/additional-args"
_ADDED_VARIABLES = "clusterprofiles.multicluster.x-k8s.io/exec/additional-envs"
_IGNORE = (None, "", "Ignore")
_ARGUMENT_POLICIES = (*_IGNORE, "Append")
_VARIABLE_POLICIES = (*_IGNORE, "AppendIfNotExists", "Replace")


class ProfileProblemError(ValueError):
    """The cluster can't be reached as its ClusterProfile describes it; the message says what to mend."""


class Provider(Struct, frozen=True, rename="camel"):
    """Which program gives the credentials of one kind, run as those of kubeconfigs are."""

    name: str
    exec_config: ExecEntry
    argument_policy: str | None = msgspec.field(default=None, name="profileSourcedCLIArgsPolicy")
    variable_policy: str | None = msgspec.field(default=None, name="profileSourcedEnvVarsPolicy")


class _ProviderFile(Struct, frozen=True):
    providers: list[Provider]


class Providers(Struct, frozen=True):
    """What the file says: providers in its order. `problem` says why nothing of it is known."""

    path: Path
    known: Mapping[str, Provider] = {}
    problem: str | None = None


def load_providers(path: Path) -> Providers:
    """Reads the file, JSON or YAML; one that can't be read has a `problem`."""
    try:
        content = read_bytes(path, _MOST_BYTES + 1)
    except OSError as error:
        return Providers(path, problem=f"the providers file {path} can't be read: {error.strerror}")
    try:
        return Providers(path, _read_providers(content))
    except ValueError as error:
        return Providers(path, problem=f"the providers file {path} can't be used: {error}")


def _read_providers(content: bytes) -> Mapping[str, Provider]:
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it is larger than {_MOST_BYTES} bytes")
    try:
        document = load_first_document(content)
    except yaml.YAMLError as error:
        raise ValueError("it is neither JSON nor YAML") from error
    if not isinstance(document, dict):
        raise ValueError('it must be a mapping: {"providers": [{"name": ..., "execConfig": {...}}]}')  # noqa: TRY004
    try:
        providers = msgspec.convert(document, _ProviderFile).providers
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    known: dict[str, Provider] = {}
    for provider in providers:
        if provider.name in known:
            raise ValueError(f"provider {provider.name!r} is there twice: take one of them out")
        for field, policy, policies in (
            ("CLIArgs", provider.argument_policy, _ARGUMENT_POLICIES),
            ("EnvVars", provider.variable_policy, _VARIABLE_POLICIES),
        ):
            if policy not in policies:
                raise ValueError(
                    f"provider {provider.name!r}: profileSourced{field}Policy must be {' or '.join(policies[2:])}"
                )
        known[provider.name] = provider
    return known


def find_access(profile: ClusterProfile, providers: Providers) -> Access:
    """How its cluster is reached. Raises ProfileProblemError."""
    owner = f"ClusterProfile {profile.name}"
    if (problem := providers.problem or profile.problem) is not None:
        raise ProfileProblemError(f"{owner}: {problem}")
    offered = profile.access_providers
    if not offered:
        raise ProfileProblemError(
            f"{owner}: status.accessProviders is empty: its cluster manager ({profile.manager or 'not named'}) has to "
            "say there how the cluster is reached"
        )
    name = next((name for name in providers.known if name in offered), None)
    if name is None:
        raise ProfileProblemError(
            f"{owner}: none of its access providers ({', '.join(offered)}) is in {providers.path}, which has "
            f"{', '.join(providers.known) or 'none'}: add one of them there"
        )
    place, provider, folder = offered[name], providers.known[name], providers.path.parent
    try:
        user = {"exec": msgspec.to_builtins(_build_exec(provider, place))}
        access = build_access(Section(place, folder), Section(user, folder))
    except ValueError as error:
        raise ProfileProblemError(f"{owner}: access provider {name}: {error}") from error
    if not access.endpoint.startswith("https://"):
        raise ProfileProblemError(
            f"{owner}: access provider {name}: server must be https://, or others read what it is sent"
        )
    return access


def _build_exec(provider: Provider, place: Mapping[str, Any]) -> ExecEntry:
    """The provider's own with what it takes over from the profile. Raises ValueError."""
    if place.get("certificate-authority"):
        raise ValueError("certificate-authority names a file, must be certificate-authority-data")
    args, env = provider.exec_config.args or [], provider.exec_config.env or []
    if provider.argument_policy not in _IGNORE:
        args = [*args, *_read_extension(place, _ADDED_ARGUMENTS, list[str])]
    if provider.variable_policy not in _IGNORE:
        added = _read_extension(place, _ADDED_VARIABLES, dict[str, str])
        own = {variable.name or "": variable.value or "" for variable in env}
        merged = own | added if provider.variable_policy == "Replace" else added | own
        env = [ExecVariable(name, value) for name, value in merged.items()]
    return replace(provider.exec_config, args=args, env=env)


def _read_extension(place: Mapping[str, Any], name: str, type: type[T]) -> T:  # noqa: A002 - msgspec's own word
    """What the profile says by an extension; empty where it has none of this name. Raises ValueError."""
    found = next((entry for entry in as_mappings(place.get("extensions")) if entry.get("name") == name), {})
    try:
        return msgspec.convert(found.get("extension") or type(), type)
    except msgspec.ValidationError as error:
        raise ValueError(f"extension {name} is not as KEP-5339 has it: {error}") from error
