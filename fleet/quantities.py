"""Kubernetes quantities: text to numbers and back. Source: apimachinery `resource.Quantity`, canonical form."""


def parse_cores(text: str) -> float:
    """`218250189n` -> 0.218250189, `500m` -> 0.5, `2` -> 2.0. Raises ValueError."""
    raise NotImplementedError


def parse_bytes(text: str) -> int:
    """`14692232Ki` -> 15044845568, `1G` -> 1000000000, `1e3` -> 1000. Fractions of a byte round up. Raises ValueError."""
    raise NotImplementedError


def parse_count(text: str) -> int:
    """`110` -> 110, `1k` -> 1000. Raises ValueError."""
    raise NotImplementedError
