"""Figures in Prometheus' text format (0.0.4)."""

from collections.abc import Iterable


def build_family(name: str, words: str, samples: Iterable[tuple[str, object]], kind: str = "gauge") -> str:
    """One family; a sample is its labels, in braces, and its value."""
    head = f"# HELP {name} {words}\n# TYPE {name} {kind}\n"
    return head + "".join(f"{name}{labels} {value}\n" for labels, value in samples)


def label_cluster(name: str) -> str:
    """The labels of a sample that is of one cluster."""
    escaped = name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{cluster="{escaped}"}}'
