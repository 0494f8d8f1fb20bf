"""What is read of objects that control pods, shaped as on the wire. Source: Kubernetes API, apps/v1 and batch/v1."""

from collections.abc import Iterator

from msgspec import Raw

from fleet.kubernetes.codec.pod_wire import NOTHING
from fleet.kubernetes.codec.wire import Metadata, Wire


class TemplateContainer(Wire, frozen=True):
    """`spec.template.spec.containers[]`."""

    image: str = ""


class TemplateSpec(Wire, frozen=True):
    """`spec.template.spec`."""

    init_containers: list[TemplateContainer] | None = None
    containers: list[TemplateContainer] | None = None

    def all_containers(self) -> Iterator[TemplateContainer]:
        yield from self.containers or ()
        yield from self.init_containers or ()


class Template(Wire, frozen=True):
    """`spec.template`."""

    spec: TemplateSpec = TemplateSpec()


class JobSpec(Wire, frozen=True):
    """`spec.jobTemplate.spec`."""

    template: Template = Template()


class JobTemplate(Wire, frozen=True):
    """`spec.jobTemplate`."""

    spec: JobSpec = JobSpec()


class RollingUpdate(Wire, frozen=True):
    """`spec.updateStrategy.rollingUpdate`."""

    partition: int | None = None


class UpdateStrategy(Wire, frozen=True):
    """`spec.updateStrategy`."""

    type: str = ""
    rolling_update: RollingUpdate | None = None


class WorkloadSpec(Wire, frozen=True):
    """`spec` of any of the kinds."""

    replicas: int | None = None
    paused: bool = False
    suspend: bool | None = None
    completions: int | None = None
    parallelism: int | None = None
    schedule: str = ""
    selector: Raw = NOTHING
    template: Template = Template()
    job_template: JobTemplate | None = None
    update_strategy: UpdateStrategy = UpdateStrategy()


class WorkloadCondition(Wire, frozen=True):
    """`status.conditions[]`."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    last_update_time: str | None = None


class WorkloadStatus(Wire, frozen=True):
    """`status` of any of the kinds; a Job counts its active pods, a CronJob lists its active Jobs."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int | None = None
    desired_number_scheduled: int = 0
    number_ready: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    current_revision: str = ""
    update_revision: str = ""
    active: int | list[Raw] | None = None
    ready: int | None = None
    succeeded: int = 0
    start_time: str | None = None
    last_schedule_time: str | None = None
    conditions: list[WorkloadCondition] | None = None


class WorkloadMetadata(Metadata, frozen=True):
    """`metadata`."""

    generation: int = 0


class WireWorkload(Wire, frozen=True):
    """An object that controls pods."""

    metadata: WorkloadMetadata
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()
