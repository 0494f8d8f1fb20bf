"""What the entries of a kubeconfig hold: the fields and types of client-go, and which of them contradict each other.

Source: client-go `tools/clientcmd/api/v1/types.go`, `tools/clientcmd/validation.go`. What kubectl refuses is
refused, with what would be right; null and what is left out are the same.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T")

# client-go's own, and the one of Google's that older kubeconfigs have.
_PROVIDERS = ("oidc", "gcp")
_WRONG_TYPE = re.compile(r"Expected `(\w+)[^`]*`, got `(\w+)`(?: - at `\$?\.?(.*)`)?")
_TYPES = {
    "str": "text",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


class ExecVariable(Struct):
    """A variable of an exec plugin's environment."""

    name: str | None = None
    value: str | None = None


class ExecEntry(Struct, rename="camel"):
    """Which program gives the credential: ExecConfig."""

    command: str | None = None
    args: list[str | None] | None = None
    env: list[ExecVariable] | None = None
    api_version: str | None = None
    install_hint: str | None = None
    provide_cluster_info: bool | None = None
    interactive_mode: str | None = None


class ProviderEntry(Struct):
    """AuthProviderConfig."""

    name: str | None = None
    config: dict[str, str | None] | None = None


class Extension(Struct):
    """What another tool keeps in the file, of any shape: NamedExtension."""

    name: str | None = None
    extension: Any = None


class ClusterEntry(Struct, rename="kebab"):
    """How a cluster is reached: Cluster."""

    server: str | None = None
    tls_server_name: str | None = None
    insecure_skip_tls_verify: bool | None = None
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    proxy_url: str | None = None
    disable_compression: bool | None = None
    extensions: list[Extension | None] | None = None


class UserEntry(Struct, rename="kebab"):
    """How its user signs in: AuthInfo."""

    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    token: str | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    as_: str | None = msgspec.field(default=None, name="as")
    as_uid: str | None = None
    as_groups: list[str | None] | None = None
    as_user_extra: dict[str, list[str | None] | None] | None = None
    username: str | None = None
    password: str | None = None
    auth_provider: ProviderEntry | None = None
    exec: ExecEntry | None = None
    extensions: list[Extension | None] | None = None


class ContextEntry(Struct, rename="kebab"):
    """Which user goes to which cluster: Context."""

    cluster: str | None = None
    user: str | None = None
    namespace: str | None = None
    extensions: list[Extension | None] | None = None


class Preferences(Struct):
    """What nobody reads any more: Preferences."""

    colors: bool | None = None
    extensions: list[Extension | None] | None = None


class FileEntry(Struct, rename="kebab"):
    """What a file says beside its entries: Config."""

    preferences: Preferences | None = None
    current_context: str | None = None
    extensions: list[Extension | None] | None = None


def read_entry(body: Mapping[str, Any], type: type[T]) -> T:  # noqa: A002 - msgspec's own word
    """The typed entry. Raises ValueError, which names the field, what it must be and what it is, never its value."""
    try:
        return msgspec.convert(body, type)
    except msgspec.ValidationError as error:
        found = _WRONG_TYPE.match(str(error))
        if found is None:
            raise ValueError("holds a field of another type than kubectl takes") from error
        expected, got = (_TYPES.get(word, word) for word in (found[1], found[2]))
        raise ValueError(f"{found[3] or 'it'} must be {expected}, not {got}") from error


def check_cluster(cluster: ClusterEntry) -> None:
    """Raises ValueError where fields contradict each other."""
    authority = cluster.certificate_authority or cluster.certificate_authority_data
    if cluster.certificate_authority and cluster.certificate_authority_data:
        raise ValueError(_both("certificate-authority", "certificate-authority-data"))
    if cluster.insecure_skip_tls_verify and authority:
        raise ValueError(_both("insecure-skip-tls-verify", "a certificate authority"))


def check_user(user: UserEntry) -> None:
    """Raises ValueError where fields contradict each other, or ask for what is not done here."""
    if user.as_ or user.as_uid or user.as_groups or user.as_user_extra:
        raise ValueError("users[].user.as (impersonation) is not supported: give the user its own credential")
    for field in ("client-certificate", "client-key"):
        name = field.replace("-", "_")
        if getattr(user, name) and getattr(user, f"{name}_data"):
            raise ValueError(_both(field, f"{field}-data"))
    if (user.token or user.token_file) and (user.username or user.password):
        raise ValueError(_both("token or tokenFile", "username or password"))
    if user.exec is not None and user.auth_provider is not None:
        raise ValueError(_both("exec", "auth-provider"))
    if user.auth_provider is not None and user.auth_provider.name not in _PROVIDERS:
        raise ValueError(f"auth-provider.name must be one of {', '.join(_PROVIDERS)}; other clusters have exec plugins")


def _both(one: str, other: str) -> str:
    return f"{one} and {other} are both given, and kubectl takes neither: leave one out"
