"""The cluster that an object is in: one view a request for all objects of it."""

from typing import TYPE_CHECKING

from graph.loading.context import Info

if TYPE_CHECKING:
    from graph.types.cluster import Cluster


def cluster_of(info: Info, name: str) -> "Cluster":
    """From memory. It may have left the federation in this very moment."""
    found: Cluster | None = info.context.loaders.clusters.views.get(name)
    return _open(info, name) if found is None else found


def _open(info: Info, name: str) -> "Cluster":
    from graph.types.cluster import Cluster  # here, since the nouns refer to each other

    clusters = info.context.loaders.clusters
    opened = clusters.views[name] = Cluster.from_model(clusters.snapshot(name))
    return opened
