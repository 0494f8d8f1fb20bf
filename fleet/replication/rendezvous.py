"""Who is to write a member: highest random weight (Thaler and Ravishankar, 1998) of the replicas that live."""

from collections.abc import Iterable
from hashlib import blake2b


def rank(member: str, replicas: Iterable[str]) -> list[str]:
    """All of them, the one that is to have the member first; who goes or comes moves no member between the others."""
    return sorted(replicas, key=lambda replica: (_weigh(member, replica), replica), reverse=True)


def _weigh(member: str, replica: str) -> bytes:
    return blake2b(f"{member}\0{replica}".encode(), digest_size=8).digest()
