"""The object that controls another one."""

from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from fleet.model import objects as models
from fleet.model.kube_objects import ResourceKey
from graph.loading.context import Info
from graph.types.fields import of_model, resolved
from graph.types.views import View

if TYPE_CHECKING:
    from graph.types.resource import Resource


@strawberry.type(description="The object that controls this one, such as a ReplicaSet.")
class Owner(View[models.Owner]):
    """A view of `models.Owner`, with the place the owned object is in."""

    model: strawberry.Private[models.Owner]
    place: strawberry.Private[tuple[str, str]]
    api_version: str = of_model("API version of the owner's kind.")
    kind: str = of_model("Kind of the owner.")
    name: str = of_model("Name of the owner.")
    uid: str = of_model("UID of the owner.")

    @classmethod
    def from_model(cls, model: models.Owner, cluster: str, namespace: str) -> Self:
        return cls(model=model, place=(cluster, namespace))

    @resolved(
        "The owner itself, asked of the cluster; null where it is gone, where you may not see it, where the cluster "
        "does not serve its kind, or while the cluster does not answer."
    )
    async def resource(self, info: Info) -> Annotated["Resource", strawberry.lazy("graph.types.resource")] | None:
        """One call for all objects it owns. Raises ClusterError."""
        from graph.types.resource import load_named  # here, since the nouns refer to each other

        (cluster, namespace), owner = self.place, self.model
        key = ResourceKey(cluster, owner.api_version, owner.kind, namespace, owner.name)
        found = await load_named(info, key)
        return found if found is not None and found.model.uid == owner.uid else None


def owner_of(model: models.Owner | None, cluster: str, namespace: str) -> Owner | None:
    """The view, or None where nothing controls the object."""
    return Owner.from_model(model, cluster, namespace) if model is not None else None
