"""Of what one source describes, a name is one cluster, and so is a server."""

from fleet.kubernetes.sources.naming import name_once
from fleet.model.objects import ClusterRole
from fleet.ports import Credential, MemberSpec


def spec(name: str, place: str | None) -> MemberSpec:
    credential = None if place is None else Credential("f", "https://a:1", place)
    return MemberSpec(name, ClusterRole.MEMBER, credential, problem="wrong" if place is None else None)


def test_two_of_one_name_are_told_apart() -> None:
    listed = name_once([("Secret a/x", spec("x", "1")), ("Secret b/x", spec("x", "2")), ("Secret c/y", spec("y", "3"))])
    assert listed["Secret a/x"] == spec("x", "1")
    assert listed["Secret c/y"] == spec("y", "3")
    other = listed["Secret b/x"]
    assert (other.name, other.credential) == ("b/x", None)
    assert other.problem == "Secret b/x: Secret a/x has its name: name one of them otherwise"


def test_what_leads_to_one_server_is_one_cluster() -> None:
    listed = name_once([(f"Secret {key}", spec(key[-1], "1")) for key in ("a/x", "a/y", "b/x", "b/y", "b/z")])
    assert [(owner, each.name, each.other_names) for owner, each in listed.items()] == [("Secret a/x", "x", ("y", "z"))]


def test_one_that_is_ill_hides_none_that_is_well() -> None:
    """Which server it leads to does not count while nothing leads there."""
    listed = name_once([("Secret a/x", spec("x", None)), ("Secret a/y", spec("y", "1"))])
    assert [each.name for each in listed.values()] == ["x", "y"]


def test_a_name_that_looks_like_another_s_key_is_kept() -> None:
    described = [(f"Secret {key}", spec(name, key)) for key, name in (("a/x", "x"), ("b/x", "x"), ("a/odd", "b/x"))]
    listed = {each.name: each.problem for each in name_once(described).values()}
    assert listed == {"x": None, "b/x": None}


def test_a_name_that_is_taken_leads_where_it_led() -> None:
    listed = name_once([("Secret a/x", spec("x", "1")), ("Secret a/y", spec("y", "2")), ("Secret b/y", spec("y", "1"))])
    assert [each.other_names for each in listed.values()] == [(), ()]
