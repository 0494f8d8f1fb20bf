"""All objects of a cluster, before and after."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from realfleet.cluster import Cluster
from realfleet.processes import NotReadyError
from tests.fakes.waiting import PATIENCE

OF_ITS_OWN_ACCORD = {"events", "leases", "endpointslices", "endpoints"}


def list_objects(cluster: Cluster) -> Counter[str]:
    """Resource, namespace and name of all that is there, but for what comes and goes of its own accord."""

    def read(path: str, kind: str, group: str) -> list[dict[str, Any]]:
        accept = f"application/json;g={group};as={kind}List;v={'v1' if group == 'meta.k8s.io' else 'v2'}"
        status, body = cluster.client.read("GET", path, accept=accept)
        return json.loads(body)["items"] or [] if status == 200 else []

    groups = [group for path in ("/api", "/apis") for group in read(path, "APIGroupDiscovery", "apidiscovery.k8s.io")]
    collections = {
        f"/apis/{group['metadata']['name']}/{version['version']}/{each['resource']}"
        if group["metadata"].get("name")
        else f"/api/{version['version']}/{each['resource']}"
        for group in groups
        for version in group["versions"][:1]
        for each in version["resources"]
        if {"list", "delete"} <= set(each["verbs"]) and each["resource"] not in OF_ITS_OWN_ACCORD
    }
    return Counter(
        f"{path} {item['metadata'].get('namespace', '')} {item['metadata']['name']}"
        for path in collections
        for item in read(path, "PartialObjectMetadata", "meta.k8s.io")
    )


def wait_for(cluster: Cluster, before: Counter[str]) -> None:
    """Until the cluster has what it had, and no more."""
    after = before

    def is_as_before() -> bool:
        nonlocal after
        after = list_objects(cluster)
        return after == before

    try:
        cluster.servers.wait_until(is_as_before, "the cluster is as it was", PATIENCE)
    except NotReadyError as error:
        raise AssertionError(f"left: {after - before}, gone: {before - after}") from error


@contextmanager
def leaving_no_trace(cluster: Cluster) -> Iterator[None]:
    before = list_objects(cluster)
    yield
    wait_for(cluster, before)
