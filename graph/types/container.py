"""A container of a pod."""

import strawberry

from fleet.model import objects as models
from graph.scalars import DateTime
from graph.types.common import Resources, resources_of
from graph.types.fields import of_model, resolved
from graph.types.views import PureView


@strawberry.type(description="What a container does, or did last.")
class ContainerState(PureView[models.ContainerState]):
    """A view of `models.ContainerState`."""

    model: strawberry.Private[models.ContainerState]
    kind: str = of_model("running, waiting or terminated.")
    reason: str | None = of_model("Why, in one word, such as CrashLoopBackOff.")
    message: str | None = of_model("Why, for people.")
    exit_code: int | None = of_model("Exit code of a terminated container.")
    started_at: DateTime | None = of_model("When it started.")
    finished_at: DateTime | None = of_model("When it ended.")


@strawberry.type(description="A container of a pod: its specification and its status, joined by name.")
class Container(PureView[models.Container]):
    """A view of `models.Container`."""

    model: strawberry.Private[models.Container]
    name: str = of_model("Name within the pod.")
    image: str = of_model("Image as the pod asks for it.")
    init: bool = of_model("Whether it is an init container.")
    ephemeral: bool = of_model("Whether it was added to a running pod, as kubectl debug does.")
    ready: bool = of_model("Whether it is ready.")
    restarts: int = of_model("How often it was restarted.")
    literal_secrets: list[str] = of_model(
        "Names of environment variables that look like secrets and stand in the pod itself, where everybody reads them "
        "who reads the pod: their values belong into a Secret."
    )

    @resolved("What it does now.")
    def state(self) -> ContainerState | None:
        return ContainerState.from_model(self.model.state) if self.model.state else None

    @resolved("How it ended before its last restart.")
    def last_state(self) -> ContainerState | None:
        return ContainerState.from_model(self.model.last_state) if self.model.last_state else None

    @resolved("What it asks for; null where it asks for nothing.")
    def requests(self) -> Resources | None:
        return resources_of(self.model.requests)

    @resolved("What it may use at most; null where there is no limit.")
    def limits(self) -> Resources | None:
        return resources_of(self.model.limits)


@strawberry.type(description="A device that a pod claims: dynamic resource allocation.")
class ResourceClaim(PureView[models.ResourceClaim]):
    """A view of `models.ResourceClaim`."""

    model: strawberry.Private[models.ResourceClaim]
    name: str = of_model("Name within the pod, by which containers ask for it.")
    claim_name: str | None = of_model("Name of the ResourceClaim; null until one is made from the template.")
    template_name: str | None = of_model("Name of the ResourceClaimTemplate; null where the claim itself is named.")
