"""What is called what in the shared state."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.model.kinds import ResourceName
from fleet.replication.subjects import Subjects, Unpublishable, text_of, token

KINDS: tuple[ResourceName, ...] = ("pods", "nodes", "namespaces", "events", "workloads")
NAMES = st.text(st.characters(codec=None), max_size=40)


@settings(deadline=None)
@given(NAMES)
@example("")
@example("=")
@example("=2E")
@example("kind-a.b@c/d e*>\\")
@example("café ☃")
def test_every_name_is_one_token_that_is_read_back(name: str) -> None:
    written = token(name)
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", written)
    assert text_of(written) == name


@settings(deadline=None)
@given(NAMES, NAMES)
def test_different_names_are_different_tokens(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


@settings(deadline=None)
@given(st.text("=-_aA0129EFef.", max_size=8))
def test_what_is_no_token_of_a_name_is_none(written: str) -> None:
    try:
        text = text_of(written)
    except ValueError:
        return
    assert token(text) == written or "=" not in written


@settings(deadline=None)
@given(st.sampled_from(KINDS), NAMES, NAMES, NAMES)
@example("workloads", "arn:aws:eks:eu-1:1:cluster/a", "default", "web Deployment.apps")
def test_a_subject_names_its_object(kind: ResourceName, cluster: str, namespace: str, name: str) -> None:
    subjects = Subjects("openmcp", cluster)
    subject = subjects.of(kind, (namespace, name))
    assert subjects.parse(subject) == (kind, (namespace, name))
    assert subject.startswith(subjects.all.removesuffix(">"))
    assert Subjects("openmcp", f"{cluster}x").parse(subject) is None


def test_what_is_of_no_object_is_none() -> None:
    subjects = Subjects("openmcp", "c")
    others = (
        subjects.mark,
        subjects.usage(0),
        subjects.all,
        "openmcp.c.pods.a",
        "openmcp.c.pods.a.=0",
        "openmcp.c.x.a.b",
    )
    assert [subjects.parse(each) for each in others] == [None] * len(others)


def test_a_stream_has_a_name_that_a_folder_may_have() -> None:
    names = ["c", "a/b", "ü" * 300, "ü" * 301, "a" * 300]
    streams = [Subjects("openmcp", name).stream for name in names]
    assert streams[:2] == ["openmcp-c", "openmcp-a=2Fb"]
    assert len(set(streams)) == len(names)
    assert max(map(len, streams)) < 255


def test_a_name_that_no_api_server_takes_has_no_subject() -> None:
    subjects = Subjects("openmcp", "c")
    assert len(subjects.of("events", ("ü" * 63, "." * 253))) < 2_048
    with pytest.raises(Unpublishable, match="more than 253 characters"):
        subjects.of("events", ("a", "b" * 5_000))
