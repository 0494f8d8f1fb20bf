"""Small values that pods and nodes share."""

import strawberry

from fleet.model import objects as models
from graph.scalars import LARGEST_INT, BigInt, DateTime, OutOfRange
from graph.types.fields import of_model, resolved
from graph.types.views import PureView


@strawberry.interface(description="Anything that can be found again by its id alone.")
class Object:
    """Objects with an opaque id, by which `object(id)` finds them."""

    @resolved("Opaque; the same for as long as the object's name is.")
    def id(self) -> strawberry.ID:
        raise NotImplementedError


@strawberry.type(description="A label or an annotation.")
class Label:
    """A key and a value."""

    key: str = strawberry.field(description="The key, with its prefix.")
    value: str = strawberry.field(description="The value; may be empty.")


def labels_of(pairs: models.Pairs) -> list[Label]:
    """Labels or annotations, in the object's order."""
    return [Label(key=key, value=value) for key, value in pairs]


@strawberry.type(description="How many objects share a key.")
class Count:
    """The number of objects with one value of what they are grouped by."""

    key: str = strawberry.field(description="What the group has in common.")
    count: int = strawberry.field(description="Objects in the group.")


@strawberry.type(description="An amount of a resource that a device plugin or the node's set-up gives, such as a GPU.")
class ExtendedResource:
    """A name and an amount."""

    name: str = strawberry.field(description="Its name: nvidia.com/gpu, hugepages-2Mi.")
    amount: BigInt | None = strawberry.field(description="How many; of hugepages the bytes.")


@strawberry.type(description="Amounts of resources; null where the object does not say.")
class Resources(PureView[models.Resources]):
    """A view of `models.Resources`."""

    model: strawberry.Private[models.Resources]
    cpu_cores: float | None = of_model("CPU in cores.")
    memory_bytes: BigInt | None = of_model("Memory in bytes.")
    ephemeral_storage_bytes: BigInt | None = of_model("Ephemeral storage in bytes.")

    @resolved("Number of pods.")
    def pods(self) -> int | None:
        """Raises OutOfRange: a quantity has no bound, and an Int has one."""
        pods = self.model.pods
        if pods is not None and pods > LARGEST_INT:
            raise OutOfRange(pods, LARGEST_INT)
        return pods

    @resolved("All other resources, by name.")
    def extended(self) -> list[ExtendedResource]:
        return [ExtendedResource(name=name, amount=BigInt(amount)) for name, amount in self.model.extended]


def resources_of(model: models.Resources) -> Resources | None:
    """The view, or None where the object says nothing at all."""
    return None if model == models.NO_RESOURCES else Resources.from_model(model)


@strawberry.type(description="An entry of `status.conditions`.")
class Condition(PureView[models.Condition]):
    """A view of `models.Condition`."""

    model: strawberry.Private[models.Condition]
    type: str = of_model("What it is about, such as Ready.")
    status: str = of_model("True, False or Unknown.")
    reason: str | None = of_model("Why, in one word.")
    message: str | None = of_model("Why, for people.")
    last_transition_at: DateTime | None = of_model("When the status changed last.")
