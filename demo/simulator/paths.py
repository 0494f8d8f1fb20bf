"""Which object or collection a path of the API names."""

from collections.abc import Sequence

from msgspec import Struct

from demo.simulator.kinds import Kind, find_kind


class Target(Struct, frozen=True):
    """What a path names. `namespace` None is all of them (or a cluster-scoped kind); without a name: the collection."""

    kind: Kind
    namespace: str | None
    name: str = ""
    subresource: str = ""

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace or "", self.name


def parse_target(kinds: Sequence[Kind], path: str) -> Target | None:
    """Reads a decoded path such as `/api/v1/namespaces/default/pods/web-1`; None where it names nothing stored."""
    parts = path.strip("/").split("/")
    head = 2 if parts[0] == "api" else 3
    root, rest = "/" + "/".join(parts[:head]), parts[head:]
    if not rest:
        return None
    if rest[0] == "namespaces" and len(rest) > 2:
        kind = find_kind(kinds, root, rest[2])
        if kind is not None and kind.namespaced and len(rest) <= 5:
            return Target(kind, rest[1], *rest[3:])
    kind = find_kind(kinds, root, rest[0])
    if kind is None or len(rest) > 3 or (kind.namespaced and len(rest) > 1):
        return None
    return Target(kind, None, *rest[1:])
