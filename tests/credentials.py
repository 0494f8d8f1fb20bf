"""No credential in what servers of the suite write: their logs are looked through for all that are known at its end."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

LOGS: list[Path] = []
"""Of all servers that this process' tests started."""

KNOWN: dict[str, str] = {}
"""What each credential is, by its text."""

_SHORTEST = 8
"""Characters below which a text is found in other words as well."""

_NAMES = re.compile(r"KEY|KEYS|PASSWORD|TOKEN|SECRET")
_FORMS = re.compile(
    rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+|omcp_[A-Za-z0-9]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY|\$argon2id?\$\S+"
    rb"|Bearer [\w.-]{20,}"
)


def note(text: str, what: str) -> None:
    """A credential that a test uses."""
    if len(text) >= _SHORTEST:
        KNOWN[text] = what


def note_server(log: Path, environment: Mapping[str, str]) -> None:
    """A server that writes there, and the credentials it was given."""
    LOGS.append(log)
    for name, value in environment.items():
        if _NAMES.search(name) and not name.endswith(("_FILE", "_PATH", "_NAMESPACE", "_AUDIENCES")):
            for each in value.split() if name.endswith("KEYS") else [value]:
                note(each, name)
    for path in environment.get("OPENMCP_KUBECONFIG", environment.get("KUBECONFIG", "")).split(":"):
        if path and Path(path).is_file():
            for text in _read_credentials(yaml.safe_load(Path(path).read_text())):
                note(text, f"a credential of {path}")


def find_leaks(logs: list[Path], known: Mapping[str, str]) -> list[str]:
    """Which credential is where; the credential itself is not said."""
    leaks: list[str] = []
    for log in logs:
        written = log.read_bytes() if log.is_file() else b""
        found = [(written.find(text.encode()), what) for text, what in known.items()]
        found += [(form.start(), "what looks like one") for form in _FORMS.finditer(written)]
        lines = [(written[:at].count(b"\n") + 1, what) for at, what in found if at >= 0]
        leaks += [f"{log}:{number}: {what}" for number, what in sorted(lines)]
    return leaks


def _read_credentials(kubeconfig: object) -> Iterator[str]:
    users = kubeconfig.get("users") if isinstance(kubeconfig, dict) else None
    for entry in users if isinstance(users, list) else ():
        user = entry.get("user") or {}
        yield from (str(user[name]) for name in ("token", "password", "client-key-data") if user.get(name))
