"""What a KubeFedCluster and its Secret say of one member, and what is wrong with them."""

from collections.abc import Mapping

from fleet.kubernetes.auth.authorizers import is_token
from fleet.kubernetes.auth.encoding import decode_base64
from fleet.kubernetes.auth.endpoint import parse_endpoint, parse_proxy
from fleet.kubernetes.auth.kubeconfig import Access
from fleet.kubernetes.auth.tls import EVERYTHING, TLS_VALIDATIONS, TlsMaterial, TlsMaterialError, build_ssl_context
from fleet.kubernetes.sources.custom_objects import as_text, condition_says
from fleet.kubernetes.sources.kubefed_objects import KubeFedCluster, Secret

TOKEN_KEY = "token"  # noqa: S105 - the name of a key


class MemberProblemError(ValueError):
    """The member can't be reached as described; the message names the object and the field to mend."""


def build_access(
    cluster: KubeFedCluster, namespace: str, secrets: Mapping[str, Secret], unreadable: str | None
) -> Access:
    """How the member is reached; `unreadable` says why Secrets can't be listed, where they can't.

    Raises MemberProblemError.
    """
    owner = f"KubeFedCluster {namespace}/{cluster.name}"
    spec = cluster.spec
    try:
        endpoint = parse_endpoint(_text(spec.get("apiEndpoint"), "apiEndpoint"))
    except ValueError as error:
        raise MemberProblemError(f"{owner}: spec.apiEndpoint {error}") from error
    proxy = as_text(spec.get("proxyURL"))
    if proxy is not None:
        try:
            proxy = parse_proxy(proxy)
        except ValueError as error:
            raise MemberProblemError(f"{owner}: spec.proxyURL {error}") from error
    return Access(
        endpoint=endpoint,
        tls=_build_tls(cluster, owner),
        proxy=proxy,
        token=_find_token(cluster, owner, namespace, secrets, unreadable),
    )


def offline_message(cluster: KubeFedCluster) -> str | None:
    """KubeFed's verdict: the message of a condition of type Offline whose status is True, else None."""
    said = condition_says(cluster.status, "Offline", "True")
    return "KubeFed says that the cluster is offline" if said == "" else said


def _build_tls(cluster: KubeFedCluster, owner: str) -> TlsMaterial:
    listed = cluster.spec.get("disabledTLSValidations") or []
    if not isinstance(listed, list) or not TLS_VALIDATIONS.issuperset(map(str, listed)):
        known = ", ".join(sorted(TLS_VALIDATIONS))
        raise MemberProblemError(f"{owner}: spec.disabledTLSValidations must be a list of these: {known}")
    disabled = frozenset(map(str, listed))
    bundle = cluster.spec.get("caBundle")
    if not bundle or EVERYTHING in disabled:
        return TlsMaterial(disabled=disabled)
    try:
        material = TlsMaterial(ca=decode_base64(str(bundle)), disabled=disabled)
    except ValueError as error:
        raise MemberProblemError(f"{owner}: spec.caBundle is not base64 of a PEM certificate") from error
    try:
        build_ssl_context(material)
    except TlsMaterialError as error:
        raise MemberProblemError(f"{owner}: spec.caBundle holds no PEM certificate") from error
    return material


def _find_token(
    cluster: KubeFedCluster, owner: str, namespace: str, secrets: Mapping[str, Secret], unreadable: str | None
) -> str:
    reference = cluster.spec.get("secretRef")
    name = as_text(reference.get("name")) if isinstance(reference, dict) else None
    if name is None:
        raise MemberProblemError(f"{owner}: spec.secretRef.name is missing; it must name a Secret in {namespace}")
    if name not in secrets:
        if unreadable is not None:
            raise MemberProblemError(f"Secrets of namespace {namespace} can't be read: {unreadable}")
        raise MemberProblemError(f"{owner}: spec.secretRef names Secret {namespace}/{name}, which does not exist")
    encoded = secrets[name].data.get(TOKEN_KEY)
    if not encoded or not isinstance(encoded, str):
        raise MemberProblemError(f"Secret {namespace}/{name} of {owner} has no key {TOKEN_KEY!r}")
    try:
        token = decode_base64(encoded).decode("ascii").strip()
    except ValueError as error:
        raise MemberProblemError(f"Secret {namespace}/{name} of {owner}: key {TOKEN_KEY!r} is not a token") from error
    if not is_token(token):
        raise MemberProblemError(f"Secret {namespace}/{name} of {owner}: key {TOKEN_KEY!r} is not a token")
    return token


def _text(value: object, field: str) -> str:
    if value is None:
        raise ValueError("is missing; it must be https://HOST[:PORT]")
    if not isinstance(value, str):
        raise ValueError(f"must be a text: https://HOST[:PORT] ({field} is none)")  # noqa: TRY004 - a wrong text
    return value
