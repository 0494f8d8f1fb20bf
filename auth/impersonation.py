"""Whom a caller wants to be taken for, by Kubernetes' `Impersonate-...` headers.

They narrow a request (or widen it): without them another one would be carried out than was sent. This server refuses
them wherever a principal asks for something. Where members decide (`OPENMCP_AUTHORIZATION=impersonate`), it names the
caller to them itself, and nobody else: `fleet/kubernetes/impersonation.py`.
"""

from collections.abc import Iterable

from fleet.model.errors import Forbidden

_PREFIXES = (b"impersonate-", b"impersonate_")
"""Some servers take `_` for `-`, and a member may stand behind one."""


def refuse_impersonation(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Lets requests pass whose headers, with names in lower case, name nobody else. Raises Forbidden."""
    for name, _ in headers:
        if name.startswith(_PREFIXES):
            raise Forbidden(
                f"the header {name[:100].decode('latin-1').title()} asks to act as somebody else, which this server "
                "does for nobody, and without it the request would be another one: take it out (of kubectl's command, "
                "--as, --as-group and --as-uid) and sign in as the user whom you mean"
            )
