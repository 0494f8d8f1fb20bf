"""Requests and limits of what is deployed come from what was measured."""

import re

import yaml

from bench.sizing import PAGE, Formula, Taken, describe, fit
from checks.manifests import CHART
from realfleet.quantities import parse_bytes

MEMBERS, PODS, CHANGES, ANSWERS = 50, 20_000, 50, 5
MARGIN = 1.5
TRUE = Formula(90.0, 1.2, 0.003, 2e-6, 1e-3, 3e-4, 4e-3, 1.2)


def taken(members: int, pods: int) -> Taken:
    memory, still = TRUE.memory(members, pods), TRUE.cpu(members, pods, 0, 0)
    return Taken(members, pods, memory, memory * TRUE.peak, still, TRUE.change, {"page": 3e-3, "chart": 5e-3})


def read_formula(text: str) -> Formula:
    """As `describe` writes it."""
    number = r"([0-9.]+)"
    memory = re.search(rf"memory = {number} MiB \+ {number} MiB x members \+ {number} KiB x pods", text)
    cores = re.search(
        rf"cores = {number} m x members \+ {number} m x 1,000 pods \+ {number} m x .* \+ {number} m x", text
    )
    assert memory is not None
    assert cores is not None
    base, member, pod = map(float, memory.groups())
    collected_member, collected_pod, change, answer = map(float, cores.groups())
    return Formula(base, member, pod / 1024, collected_pod / 1e6, collected_member / 1e3, change / 1e3, answer / 1e3, 1)


def test_what_is_fitted_is_what_was_taken() -> None:
    sizes = [taken(3, 300), taken(40, 10_000), taken(15, 30_000)]
    found = fit(sizes)
    assert abs(found.memory(20, 10_000) / TRUE.memory(20, 10_000) - 1) < 1e-6
    assert abs(found.cpu(20, 10_000, 100, 10) / TRUE.cpu(20, 10_000, 100, 10) - 1) < 1e-6
    written = read_formula(describe(sizes, taken(20, 10_000)))
    assert abs(written.memory(20, 10_000) / TRUE.memory(20, 10_000) - 1) < 0.02
    assert abs(written.cpu(20, 10_000, 100, 10) / TRUE.cpu(20, 10_000, 100, 10) - 1) < 0.02


def test_what_is_requested_is_what_the_formula_says() -> None:
    text = PAGE.read_text()
    formula = read_formula(text)
    assert f"for {MEMBERS} members with {PODS:,} pods, of which {CHANGES} change a" in text
    assert f"and {ANSWERS} answers a second" in text
    resources = yaml.safe_load((CHART / "values.yaml").read_text())["resources"]
    memory = parse_bytes(resources["requests"]["memory"]) / 1024**2
    assert 1 <= memory / (MARGIN * formula.memory(MEMBERS, PODS)) < 1.5
    assert 2 <= parse_bytes(resources["limits"]["memory"]) / 1024**2 / memory <= 4
    cores = int(resources["requests"]["cpu"].removesuffix("m")) / 1000
    assert 1 <= cores / (MARGIN * formula.cpu(MEMBERS, PODS, CHANGES, ANSWERS)) < 1.5
