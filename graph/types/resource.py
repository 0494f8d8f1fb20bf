"""An object of any kind."""

from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from fleet.model import kube_objects
from fleet.model.errors import Forbidden, InvalidQuery
from fleet.model.kube_objects import ResourceKey
from fleet.model.manifests import load_object
from fleet.objects.details import conditions_of
from graph.ids import encode_resource_id
from graph.loading.context import Info
from graph.scalars import JSON, DateTime
from graph.types.cluster_views import cluster_of
from graph.types.common import Condition, Label, Object, labels_of
from graph.types.event import Event, events_of
from graph.types.fields import of_model, resolved
from graph.types.owner import Owner, owner_of
from graph.types.views import PureView, View

if TYPE_CHECKING:
    from graph.types.cluster import Cluster


@strawberry.type(description="A cell of the API server's own table of a kind, as kubectl prints it.")
class ResourceColumn(PureView[kube_objects.TableColumn]):
    """A view of `kube_objects.TableColumn`."""

    model: strawberry.Private[kube_objects.TableColumn]
    name: str = of_model("The column's title, such as Ready.")
    type: str = of_model("string, integer, number, boolean or date.")
    description: str | None = of_model("What the column says.")
    priority: int = of_model("0 for what kubectl always prints, more for what it adds with `-o wide`.")
    value: JSON | None = of_model("The cell: text, a number or a boolean.")


@strawberry.type(description="An object of any kind that a cluster serves, custom kinds included.")
class Resource(View[kube_objects.KubeObject], Object):
    """A view of `KubeObject`. What only the whole object has is read from it when it is selected."""

    model: strawberry.Private[kube_objects.KubeObject]
    api_version: str = of_model("Group and version of its kind, such as apps/v1.")
    kind: str = of_model("Its kind, such as Deployment.")
    namespace: str | None = strawberry.field(description="Its namespace; null for an object of the whole cluster.")
    name: str = of_model("Its name.")
    uid: str = of_model("Kubernetes' own identity of it.")
    created_at: DateTime | None = of_model("When it was created.")

    @classmethod
    def from_model(cls, model: kube_objects.KubeObject) -> Self:
        return cls(model=model, namespace=model.namespace or None)

    @resolved("Opaque; the same for as long as the object's name is.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(encode_resource_id(self.model.key))

    @resolved("The cluster it is in.")
    def cluster(self, info: Info) -> Annotated["Cluster", strawberry.lazy("graph.types.cluster")]:
        return cluster_of(info, self.model.cluster)

    @resolved("Its labels.")
    def labels(self) -> list[Label]:
        return labels_of(self.model.labels)

    @resolved("Its annotations; those that repeat secrets are redacted.")
    def annotations(self, info: Info) -> list[Label]:
        annotations = self._load(info).get("metadata", {}).get("annotations") or {}
        return labels_of(tuple(sorted((key, str(value)) for key, value in annotations.items())))

    @resolved("The object that controls it.")
    def owner(self) -> Owner | None:
        return owner_of(self.model.owner, self.model.cluster, self.model.namespace)

    @resolved("Its conditions; none where the kind has no such list.")
    def conditions(self) -> list[Condition]:
        return [Condition.from_model(condition) for condition in conditions_of(self.model.raw)]

    @resolved("Its row in the API server's own table; name and creation where the server makes none.")
    def columns(self) -> list[ResourceColumn]:
        return [ResourceColumn.from_model(column) for column in self.model.columns]

    @resolved("Its newest events, 1,000 at most, newest first. Asked of the cluster; null while that does not answer.")
    async def events(self, info: Info, first: int | None = 20) -> list[Event] | None:
        """One call for a whole page. Raises InvalidQuery, Forbidden, ClusterError."""
        model = self.model
        subject = kube_objects.Subject(model.cluster, model.namespace, model.kind, model.name, model.uid)
        return await events_of(info, subject, first)

    @resolved("The whole object as the API server has it, secrets redacted.")
    def manifest(self, info: Info) -> JSON | None:
        return JSON(self._load(info))

    def _load(self, info: Info) -> dict[str, Any]:
        """Decoded once, however many fields need it."""
        found: dict[str, Any] | None = self.__dict__.get("decoded")
        if found is None:
            found = self.__dict__["decoded"] = load_object(self.model.raw, info.context.redact_env)
        return found


async def load_named(info: Info, key: ResourceKey) -> Resource | None:
    """What another object names; None, too, where the caller, who did not, may not see it. Raises ClusterError."""
    try:
        found = await info.context.resources.objects.load(key)
    except (Forbidden, InvalidQuery):
        return None
    return None if found is None else Resource.from_model(found)
