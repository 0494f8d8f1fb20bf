"""A real API server takes every manifest as it is, with nothing unknown in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from realfleet.fleet import Fleet

MANIFESTS = sorted((Path(__file__).parents[2] / "k8s").glob("*.yaml"))

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", autouse=True)
def namespaces(real_fleet: Fleet) -> Iterator[None]:
    """The platform's namespaces, on a member that has none of them."""
    member = real_fleet.members[0].name
    for namespace in ("openmcp", "kube-federation-system"):
        real_fleet.kubectl(member, "create", "namespace", namespace)
    try:
        yield
    finally:
        real_fleet.kubectl(member, "delete", "namespace", "openmcp", "kube-federation-system")


def test_there_are_manifests() -> None:
    assert {"deployment.yaml", "service.yaml"} <= {path.name for path in MANIFESTS}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_a_real_api_server_takes_it(real_fleet: Fleet, manifest: Path) -> None:
    said = real_fleet.kubectl(
        real_fleet.members[0].name, "apply", "--dry-run=server", "--validate=strict", "-f", str(manifest)
    )
    assert "(server dry run)" in said
