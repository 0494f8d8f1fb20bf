"""A namespace of a cluster."""

import strawberry

from fleet.model import objects as models
from graph.scalars import DateTime
from graph.types.common import Label, labels_of
from graph.types.fields import of_model, resolved
from graph.types.views import PureView


@strawberry.type(description="A namespace, as the cluster's last word on it has it.")
class Namespace(PureView[models.Namespace]):
    """A view of `models.Namespace`."""

    model: strawberry.Private[models.Namespace]
    name: str = of_model("Its name.")
    uid: str = of_model("Kubernetes' own identity of it.")
    created_at: DateTime = of_model("When it was created.")

    @resolved("As kubectl's STATUS column says it: Active or Terminating.")
    def status(self) -> str:
        phase: str = self.model.phase
        return phase

    @resolved("Its labels.")
    def labels(self) -> list[Label]:
        return labels_of(self.model.labels)
