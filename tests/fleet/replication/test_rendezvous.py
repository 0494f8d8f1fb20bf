"""Members spread over replicas, and as few of them move as can be."""

from collections import Counter

from fleet.replication.rendezvous import rank

MEMBERS = [f"member-{number}" for number in range(200)]


def owners(*replicas: str) -> dict[str, str]:
    return {member: rank(member, replicas)[0] for member in MEMBERS}


def test_each_of_three_replicas_has_about_a_third() -> None:
    assert all(45 <= count <= 90 for count in Counter(owners("a", "b", "c").values()).values())


def test_a_replica_that_goes_moves_its_own_members_only() -> None:
    before, after = owners("a", "b", "c"), owners("a", "b")
    assert {member for member in MEMBERS if before[member] != after[member]} == {
        member for member in MEMBERS if before[member] == "c"
    }
    assert set(Counter(after[member] for member in MEMBERS if before[member] == "c")) == {"a", "b"}


def test_all_replicas_agree_whatever_order_they_heard_of_each_other() -> None:
    assert all(rank(member, ["a", "b", "c"]) == rank(member, ["c", "a", "b"]) for member in MEMBERS)
