"""How each cluster took part in an answer."""

from typing import Self

import strawberry

from fleet.model import objects as models
from fleet.model.told import told_to
from graph.enums import OutcomeState
from graph.loading.context import Info
from graph.types.fields import of_model, resolved
from graph.types.views import View


@strawberry.type(description="How one cluster took part in an answer.")
class ClusterOutcome(View[models.Outcome]):
    """A view of `models.Outcome`."""

    model: strawberry.Private[models.Outcome]
    name: str = strawberry.field(description="The cluster.")
    state: OutcomeState = of_model("Whether it is in the answer, and if not, why not.")
    age_seconds: float | None = of_model("Seconds since the cluster last proved itself: how old its part may be.")
    took_ms: float | None = of_model("Milliseconds this answer waited for the cluster.")

    @resolved(
        "What is wrong; null while all is well. Addresses are for administrators.",
        shared_by=("cluster", "message"),
    )
    def message(self, info: Info) -> str | None:
        return told_to(info.context.scope, self.model.message)

    @classmethod
    def from_model(cls, model: models.Outcome) -> Self:
        return cls(model=model, name=model.cluster)
