"""Usage and history of workloads: sums over their pods, which are asked of the store in the pods' own batches."""

from fleet.model.sums import sum_histories, sum_usages
from fleet.model.usage import History, Kind, Usage
from fleet.model.workloads import Workload
from graph.loading.context import Info
from graph.loading.time_range import TimeRangeRequest


async def load_workload_usage(info: Info, workload: Workload) -> Usage | None:
    """The sum of its pods' newest usage; None where no pod has any. Raises MetricsUnavailable."""
    batch = info.context.loaders.usage[Kind.POD].for_(info.plan.measures[Kind.POD])
    return sum_usages(await batch.load([pod.key for pod in info.context.federation.pods_in(workload)]))


async def load_workload_history(info: Info, workload: Workload, request: TimeRangeRequest) -> History | None:
    """The sums of its pods' columns; None where no pod has a point. Raises InvalidQuery, MetricsUnavailable."""
    batch = info.context.loaders.history[Kind.POD].for_((request, info.plan.columns[Kind.POD, request]))
    return sum_histories(await batch.load([pod.key for pod in info.context.federation.pods_in(workload)]))
