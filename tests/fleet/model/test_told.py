"""A text with a second wording is the public one wherever nobody asks for the other."""

import copy

import pytest

from fleet.model.errors import ClusterUnreachable
from fleet.model.told import Told, detail_of, tell, told_to
from fleet.model.visibility import Role, Scope

SERVER = Told("its API server", "https://10.0.0.1:6443")


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, str, lambda text: str(ClusterUnreachable("c", text))])
def test_both_are_kept_by_copies_and_errors(make: type[str]) -> None:
    made = make(SERVER)
    assert (made, detail_of(made)) == ("its API server", "https://10.0.0.1:6443")


def test_texts_that_are_put_together_have_both() -> None:
    inner = tell("no answer from {} within {:g} s", SERVER, 5.0)
    outer = tell("c is cut off: {}", ClusterUnreachable("c", inner))
    assert outer == "c is cut off: no answer from its API server within 5 s"
    assert detail_of(outer) == "c is cut off: no answer from https://10.0.0.1:6443 within 5 s"
    assert detail_of(f"forgotten: {outer}") == f"forgotten: {outer}"


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        (Scope(Role.VIEW), "its API server"),
        (Scope(Role.EDIT), "its API server"),
        (Scope(Role.ADMIN), "https://10.0.0.1:6443"),
        (Scope(Role.ADMIN, also=(Scope(Role.VIEW),)), "its API server"),
    ],
)
def test_who_administers_all_that_he_reaches_reads_the_second(scope: Scope, told: str) -> None:
    shown = told_to(scope, SERVER)
    assert (shown, type(shown)) == (told, str)
    assert told_to(scope, None) is None
