"""How each cluster took part in an answer."""

from typing import Self

import strawberry

from fleet.model import objects as models
from graph.enums import OutcomeState
from graph.types.fields import of_model
from graph.types.views import View


@strawberry.type(description="How one cluster took part in an answer.")
class ClusterOutcome(View[models.Outcome]):
    """A view of `models.Outcome`."""

    model: strawberry.Private[models.Outcome]
    name: str = strawberry.field(description="The cluster.")
    state: OutcomeState = of_model("Whether it is in the answer, and if not, why not.")
    message: str | None = of_model("What is wrong; null while all is well.")
    age_seconds: float | None = of_model("Seconds since the cluster last proved itself: how old its part may be.")
    took_ms: float | None = of_model("Milliseconds this answer waited for the cluster.")

    @classmethod
    def from_model(cls, model: models.Outcome) -> Self:
        return cls(model=model, name=model.cluster)
