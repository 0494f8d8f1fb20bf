"""What the federation is told of a way to a cluster."""

from fleet.kubernetes.auth.authorizers import bearer
from fleet.kubernetes.connection import Target
from fleet.kubernetes.sources.access import Reachable


def place_of(target: Target) -> str:
    return Reachable(target, "").credential.place


def test_a_place_is_a_server_however_it_is_written_and_whoever_signs_in() -> None:
    place = place_of(Target("https://a.example:443/k8s"))
    assert place == place_of(Target("https://A.example/k8s", authorizer=bearer("t"), server_name="a.example"))
    others = [
        Target("https://a.example/k8s/b"),
        Target("https://a.example:6443/k8s"),
        Target("http://a.example:443/k8s"),
        Target("https://a.example/k8s", server_name="other.example"),
        Target("https://a.example/k8s", proxy="http://b.example:1"),
    ]
    assert len({place, *map(place_of, others)}) == 1 + len(others)
