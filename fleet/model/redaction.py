"""Objects without the secrets that they hold, or repeat, whichever kind they are of.

Values are hidden of Secrets wherever an object has one inside, of the kinds that spread Secrets over clusters, of the
kubeconfig in OpenMCPCluster objects, of Helm's releases in ConfigMaps, of literal environment variables where that is
wished, and of annotations that repeat any of these. `metadata.managedFields` name fields and hold no values.
"""

import enum
import re
from typing import Any

from fleet.model.objects import Pairs

REDACTED = "REDACTED"
STILL_SECRET = f"redacted://:{REDACTED}@"
"""A literal secret by `is_literal_secret`, whatever variable has it."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

SPREAD_SECRETS = frozenset({"FederatedSecret", "OpenMCPSecret", "OpenMCPPullSecret"})
_HIDING = SPREAD_SECRETS | {"Secret", "ConfigMap", "OpenMCPCluster"}
_PARTS = (dict, list)
_SECRET_PARTS = frozenset({"data", "stringData", "overrides"})
_HELM = frozenset({("owner", "helm"), ("OWNER", "TILLER")})  # Helm 3's and 2's storage in ConfigMaps
_CODED = "rio.cattle.io/applied"
_COPIES = ("last-applied-configuration", "last-handled-configuration", _CODED)
# A text inside of JSON has its quotes escaped, once for each level. Two patterns of small letters, as what ignores
# case, or begins in two ways, is looked for at every byte, which takes ten times as long.
_KINDS = re.compile(
    rb'kind\\*"\s*:\s*\\*"(?:secret|federatedsecret|openmcpsecret|openmcppullsecret|openmcpcluster)(?:list)?\\*"'
)
_OWNERS = re.compile(rb'owner\\*"\s*:\s*\\*"(?:helm|tiller)\\*"')
_ENVIRONMENT = re.compile(rb'"env\\*"\s*:')
_SOUNDS_SECRET = re.compile(
    r"PASS(WORD|WD|PHRASE)?(_|$)|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|ENCRYPTION_?KEY|(^|_)(PWD|AUTH|DSN)(_|$)"
    r"|CONN(ECTION)?_?STR",
    re.IGNORECASE,
)
_HAS_PASSWORD = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/@\s:]*:[^/@\s]+@")


class EnvValues(enum.StrEnum):
    """Which literal values of environment variables are hidden."""

    SHOWN = "off"
    SECRETS = "secrets"
    ALL = "all"


def may_hold(raw: bytes, env: EnvValues = EnvValues.SHOWN) -> bool:
    """Whether JSON can hold anything that is hidden; False is certain."""
    small = raw.lower()
    if _KINDS.search(small) is not None or _OWNERS.search(small) is not None:
        return True
    return env is not EnvValues.SHOWN and _ENVIRONMENT.search(raw) is not None


def is_literal_secret(name: str, value: str) -> bool:
    """Whether a literal environment variable is one by its name, or is a URL with a password."""
    return bool(value) and (_SOUNDS_SECRET.search(name) is not None or _HAS_PASSWORD.match(value) is not None)


def redact_annotations(annotations: Pairs, env: EnvValues) -> Pairs:
    """An object's annotations without those that repeat secrets; of copies of it none that have an environment."""
    return tuple((name, REDACTED if _may_repeat(name, text, env) else text) for name, text in annotations)


def _may_repeat(name: str, text: str, env: EnvValues) -> bool:
    coded = name.endswith(_CODED) and env is not EnvValues.SHOWN
    return coded or may_hold(text.encode(), EnvValues.ALL if name.endswith(_COPIES) else env)


def redact(manifest: dict[str, Any], env: EnvValues = EnvValues.SHOWN, *, answerable: bool = False) -> dict[str, Any]:
    """The object, list, table or event of a watch without secrets (changed in place and returned).

    One that is `answerable` shows what any answer shows: what is made of it afterwards, with the same `env`, is what is
    made of the object itself: the redacted object, its redacted annotations, and which variables are secrets.
    """
    metadata = manifest.get("metadata")
    own = metadata.get("annotations") if answerable and isinstance(metadata, dict) else None
    annotations: list[dict[str, Any]] = []
    hidden = False
    waiting: list[tuple[Any, str]] = [(manifest, "")]
    while waiting:
        value, kind = waiting.pop()
        if isinstance(value, list):
            waiting += [(item, kind) for item in value if isinstance(item, _PARTS)]
            continue
        named = value.get("kind", kind)
        kind = named if isinstance(named, str) else ""
        if kind in _HIDING:
            hidden |= _redact_kind(value, kind)
        if env is not EnvValues.SHOWN and isinstance(value.get("env"), list):
            hidden |= _redact_env(value["env"], env, answerable)
        for name, part in value.items():
            if not isinstance(part, _PARTS):
                continue
            if name == "annotations" and isinstance(part, dict):
                annotations.append(part)
            elif name != "managedFields" or value is not metadata:  # half of a pod, and no value
                waiting.append((part, kind.removesuffix("List") if name == "items" else ""))
    for texts in annotations:
        for name, text in texts.items():
            if isinstance(text, str) and ((hidden and name.endswith(_COPIES)) or may_hold(text.encode(), env)):
                shown = texts is own and not _may_repeat(name, text, env)
                texts[name] = text if shown else REDACTED
    return manifest


def _redact_kind(value: dict[str, Any], kind: str) -> bool:
    """Whether the object, which may be a part of another one, held a secret."""
    if kind == "Secret" or (kind == "ConfigMap" and _is_helms(value)):
        parts = [part for part in ("data", "stringData", "binaryData") if value.get(part) is not None]
        for part in parts:
            texts = value[part]
            value[part] = dict.fromkeys(texts, REDACTED) if isinstance(texts, dict) else REDACTED
        return bool(parts) or "metadata" in value
    spec = value.get("spec")
    if kind == "OpenMCPCluster" and isinstance(spec, dict) and "kubeconfigInfo" in spec:
        spec["kubeconfigInfo"] = REDACTED
        return True
    if kind in SPREAD_SECRETS and "spec" in value:
        value["spec"] = _without_secrets(spec)
        return True
    return False


def _is_helms(value: dict[str, Any]) -> bool:
    metadata = value.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    return isinstance(labels, dict) and any(labels.get(name) == text for name, text in _HELM)


def _redact_env(entries: list[Any], env: EnvValues, answerable: bool) -> bool:
    hidden = False
    for entry in entries:
        text = entry.get("value") if isinstance(entry, dict) else None
        if not isinstance(text, str):
            continue
        secret = is_literal_secret(str(entry.get("name", "")), text)
        if secret or env is EnvValues.ALL:
            entry["value"] = (STILL_SECRET if secret else "") if answerable else REDACTED
            hidden = True
    return hidden


def _without_secrets(value: Any) -> Any:
    """The value without the parts of Secrets in it, at any depth."""
    if isinstance(value, dict):
        return {key: REDACTED if key in _SECRET_PARTS else _without_secrets(part) for key, part in value.items()}
    return [_without_secrets(part) for part in value] if isinstance(value, list) else value
