"""How far a workload's rollout is, in kubectl's words where `kubectl rollout status` has any.

Source: kubectl `pkg/polymorphichelpers/rollout_status.go`; conditions of Kubernetes API, apps/v1 and batch/v1.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fleet.kubernetes.codec.convert import parse_time
from fleet.kubernetes.codec.workload_wire import WireWorkload, WorkloadCondition
from fleet.model.workloads import RolloutState


class Rollout(NamedTuple):
    """`since`: when the state began, in Unix seconds, None where the object does not say."""

    state: RolloutState
    message: str
    since: float | None = None


def find_rollout(kind: str, workload: WireWorkload) -> Rollout:
    return _RULES[kind](workload)


def _deployment(workload: WireWorkload) -> Rollout:
    name, spec, status = workload.metadata.name, workload.spec, workload.status
    progressing, available = _condition(workload, "Progressing"), _condition(workload, "Available")
    updated, last_step = status.updated_replicas, parse_time(progressing.last_update_time)
    desired = 1 if spec.replicas is None else spec.replicas
    if spec.paused:
        return Rollout(
            RolloutState.PAUSED,
            f'deployment "{name}" is paused',
            last_step if progressing.reason == "DeploymentPaused" else None,
        )
    if workload.metadata.generation > status.observed_generation:
        return Rollout(RolloutState.PROGRESSING, "Waiting for deployment spec update to be observed...")
    if progressing.reason == "ProgressDeadlineExceeded":
        since = parse_time(progressing.last_transition_time)
        return Rollout(RolloutState.STALLED, f'deployment "{name}" exceeded its progress deadline', since)
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if updated < desired:
        waiting += f"{updated} out of {desired} new replicas have been updated..."
    elif status.replicas > updated:
        waiting += f"{status.replicas - updated} old replicas are pending termination..."
    elif (available_now := status.available_replicas or 0) < updated:
        waiting += f"{available_now} of {updated} updated replicas are available..."
    else:
        complete = progressing.reason == "NewReplicaSetAvailable"
        message = f'deployment "{name}" successfully rolled out'
        return Rollout(RolloutState.COMPLETE, message, last_step if complete else None)
    since = last_step
    if progressing.reason == "NewReplicaSetAvailable":  # it was complete, and lost pods since
        since = parse_time(available.last_transition_time) if available.status == "False" else None
    return Rollout(RolloutState.PROGRESSING, waiting, since)


def _stateful_set(workload: WireWorkload) -> Rollout:
    spec, status = workload.spec, workload.status
    desired = 1 if spec.replicas is None else spec.replicas
    if not status.observed_generation or workload.metadata.generation > status.observed_generation:
        return Rollout(RolloutState.PROGRESSING, "Waiting for statefulset spec update to be observed...")
    if status.ready_replicas < desired:
        return Rollout(RolloutState.PROGRESSING, f"Waiting for {desired - status.ready_replicas} pods to be ready...")
    strategy, updated = spec.update_strategy, status.updated_replicas
    if strategy.type == "OnDelete":
        return Rollout(RolloutState.COMPLETE, f"{desired} pods are ready, and updated when they are deleted")
    if strategy.rolling_update is not None and strategy.rolling_update.partition is not None:
        wanted = desired - strategy.rolling_update.partition
        if updated < wanted:
            text = f"{updated} out of {wanted} new pods have been updated..."
            return Rollout(RolloutState.PROGRESSING, f"Waiting for partitioned roll out to finish: {text}")
        return Rollout(RolloutState.COMPLETE, f"partitioned roll out complete: {updated} new pods have been updated...")
    if status.update_revision != status.current_revision:
        text = f"{updated} pods at revision {status.update_revision}..."
        return Rollout(RolloutState.PROGRESSING, f"waiting for statefulset rolling update to complete {text}")
    text = f"{status.replicas} pods at revision {status.current_revision}..."
    return Rollout(RolloutState.COMPLETE, f"statefulset rolling update complete {text}")


def _daemon_set(workload: WireWorkload) -> Rollout:
    name, status = workload.metadata.name, workload.status
    updated, desired = status.updated_number_scheduled, status.desired_number_scheduled
    waiting = f'Waiting for daemon set "{name}" rollout to finish: '
    if workload.metadata.generation > status.observed_generation:
        return Rollout(RolloutState.PROGRESSING, "Waiting for daemon set spec update to be observed...")
    if updated < desired and workload.spec.update_strategy.type != "OnDelete":
        return Rollout(RolloutState.PROGRESSING, f"{waiting}{updated} out of {desired} new pods have been updated...")
    if status.number_available < desired:
        text = f"{status.number_available} of {desired} updated pods are available..."
        return Rollout(RolloutState.PROGRESSING, waiting + text)
    return Rollout(RolloutState.COMPLETE, f'daemon set "{name}" successfully rolled out')


def _job(workload: WireWorkload) -> Rollout:
    name = workload.metadata.name
    for kind, state, text in _ENDS:
        condition = _condition(workload, kind)
        if condition.status == "True":
            message = condition.message or f'job "{name}" {text}'
            return Rollout(state, message, parse_time(condition.last_transition_time))
    if workload.spec.suspend:
        since = parse_time(_condition(workload, "Suspended").last_transition_time)
        return Rollout(RolloutState.PAUSED, f'job "{name}" is suspended', since)
    return Rollout(RolloutState.PROGRESSING, f'job "{name}" runs', parse_time(workload.status.start_time))


_ENDS = (("Failed", RolloutState.FAILED, "failed"), ("Complete", RolloutState.COMPLETE, "is complete"))


def _cron_job(workload: WireWorkload) -> Rollout:
    name, status = workload.metadata.name, workload.status
    if workload.spec.suspend:
        return Rollout(RolloutState.PAUSED, f'cron job "{name}" is suspended')
    if isinstance(status.active, list) and status.active:
        since = parse_time(status.last_schedule_time)
        return Rollout(RolloutState.PROGRESSING, f'{len(status.active)} jobs of cron job "{name}" run', since)
    return Rollout(RolloutState.COMPLETE, f'no job of cron job "{name}" runs')


def _condition(workload: WireWorkload, kind: str) -> WorkloadCondition:
    return next((each for each in workload.status.conditions or () if each.type == kind), _NO_CONDITION)


_NO_CONDITION = WorkloadCondition("")

_RULES: Mapping[str, Callable[[WireWorkload], Rollout]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
}
