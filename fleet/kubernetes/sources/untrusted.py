"""Kubeconfigs whose writer is not who runs this server: what they would have it do here is refused."""

from collections.abc import Mapping
from pathlib import Path

from fleet.kubernetes.auth.kubeconfig import Kubeconfig, KubeconfigError, build_kubeconfig
from fleet.ports import MAX_KUBECONFIG_BYTES

FILE = Path("kubeconfig")
"""Where such a kubeconfig is said to stand."""

_DEEPEST = 20
# A node of YAML takes up to 40 us, on the event loop: 64 KiB may be 30,000. One cluster has some 40.
_MOST_SIGNS = 4_000
_SIGNS = (b",", b":", b"[", b"{", b"?", b"-", b"\n")

PROGRAMS = {
    "exec": "would make its reader run a program: put a token or a client certificate in its place",
    "auth-provider": "would make its reader run a provider's code: put a token or a client certificate in its place",
}
FILES = {
    "tokenFile": "names a file on the disk of whoever reads it: put the token in its place",
    "client-certificate": "names a file on the disk of whoever reads it: use client-certificate-data",
    "client-key": "names a file on the disk of whoever reads it: use client-key-data",
    "certificate-authority": "names a file on the disk of whoever reads it: use certificate-authority-data",
}


def read_untrusted(content: bytes) -> Kubeconfig:
    """All entries, each of them whole. Raises KubeconfigError, whose words follow "the kubeconfig"."""
    if len(content) > MAX_KUBECONFIG_BYTES:
        raise KubeconfigError(f"has more than {MAX_KUBECONFIG_BYTES} bytes: leave one cluster in it alone")
    if _nests_deeply(content):
        raise KubeconfigError("is nested deeper than any kubeconfig is")
    if sum(map(content.count, _SIGNS)) > _MOST_SIGNS:
        raise KubeconfigError("has more entries than any kubeconfig: leave one cluster in it alone")
    config = build_kubeconfig({FILE: content})
    problems = [problem.partition(": ")[2] for problem in (*config.problems, *config.nameless)]
    for sections in (config.clusters, config.users, config.contexts):
        problems += [section.problem for section in sections.values() if section.problem]
    if problems:
        raise KubeconfigError(f"can't be read: {problems[0]}")
    return config


def refuse(config: Kubeconfig, fields: Mapping[str, str]) -> None:
    """Looks at all users and clusters, the unused ones too, for fields with their reasons. Raises KubeconfigError."""
    for kind, sections in (("clusters", config.clusters), ("users", config.users)):
        for name, section in sections.items():
            for field, reason in fields.items():
                if section.body.get(field):
                    raise KubeconfigError(f"{kind} entry {name[:100]!r}: {field} is refused, it {reason}")


def _nests_deeply(content: bytes) -> bool:
    # Before the parser sees it: what is between brackets, or indented, is read by recursion.
    opened = deepest = 0
    for byte in content:
        if byte in b"[{":
            opened += 1
            deepest = max(deepest, opened)
        elif byte in b"]}":
            opened -= 1
    indented = max((len(line) - len(line.lstrip(b" -?:")) for line in content.splitlines()), default=0)
    return deepest > _DEEPEST or indented > 10 * _DEEPEST
