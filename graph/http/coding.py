"""Content codings: which one an answer goes out in.

Source: RFC 9110, section 12.5.3.
"""

from collections.abc import Sequence

from graph.http.protocol import pick_weights

IDENTITY = "identity"


def pick_coding(accept: str | None, offered: Sequence[str]) -> str:
    """What the client likes best of what is offered, of equals the first; identity where it takes none of that."""
    weights = pick_weights(accept)
    wild = weights.get("*", 0.0)
    best = max(offered, key=lambda name: weights.get(name, wild))
    liked = weights.get(best, wild)
    return best if liked > 0 and liked >= weights.get(IDENTITY, 0.0) else IDENTITY


def refuses_identity(accept: str) -> bool:
    """Whether the client takes nothing that is not coded."""
    weights = pick_weights(accept)
    return weights.get(IDENTITY, weights.get("*", 1.0)) == 0
