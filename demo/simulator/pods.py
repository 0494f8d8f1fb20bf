"""Pods as templates: one a workload and state, filled with what is a single pod's own."""

import enum
from typing import Any

from msgspec import Struct

from demo.simulator.naming import build_digest
from demo.simulator.sources import Template
from demo.simulator.store import Entry
from demo.simulator.workloads import Image, Workload


class PodState(enum.Enum):
    """What a simulated pod is doing."""

    UNSCHEDULED = "unscheduled"
    CREATING = "creating"
    RUNNING = "running"
    CRASHING = "crashing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TERMINATING = "terminating"

    @property
    def phase(self) -> str:
        match self:
            case PodState.UNSCHEDULED | PodState.CREATING:
                return "Pending"
            case PodState.SUCCEEDED:
                return "Succeeded"
            case PodState.FAILED:
                return "Failed"
            case _:
                return "Running"


class PodSeed(Struct, frozen=True, gc=False):
    """What is one pod's own. `created` and `changed` are RFC 3339; node and addresses are empty until scheduled."""

    workload: Workload
    state: PodState
    name: str
    uid: str
    owner_uid: str
    created: str
    changed: str
    node: str = ""
    host_ip: str = ""
    pod_ip: str = ""
    restarts: int = 0

    def render(self, version: int) -> bytes:
        """The pod's JSON; see `demo.simulator.sources.Source`."""
        values = {
            "name": self.name,
            "uid": self.uid,
            "owner_uid": self.owner_uid,
            "created": self.created,
            "changed": self.changed,
            "node": self.node,
            "host_ip": self.host_ip,
            "pod_ip": self.pod_ip,
            "restarts": str(self.restarts),
            "access": self.uid[:5],
            "container_id": build_digest(self.uid, self.restarts, size=32).hex(),
            "version": str(version),
        }
        return _template(self.workload, self.state).render(values)


def build_pod_entry(seed: PodSeed) -> Entry:
    """The pod as the store keeps it. The values follow `PODS.fields`."""
    workload = seed.workload
    values = (
        seed.name,
        workload.namespace,
        seed.node,
        "Never" if workload.job else "Always",
        "default-scheduler",
        "default",
        seed.state.phase,
        seed.pod_ip if seed.state.phase == "Running" else "",
    )
    return Entry(workload.namespace, seed.name, 0, _labels(workload), values, seed)


_templates: dict[tuple[tuple[str, str], PodState], Template] = {}
_label_sets: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}


def _template(workload: Workload, state: PodState) -> Template:
    key = (workload.key, state)
    if key not in _templates:
        _templates[key] = Template(_members(workload, state))
    return _templates[key]


def _labels(workload: Workload) -> tuple[tuple[str, str], ...]:
    """The pod's labels, one tuple for all pods of a workload."""
    if workload.key not in _label_sets:
        own = {"job-name": workload.name} if workload.job else {"pod-template-hash": workload.hash}
        _label_sets[workload.key] = tuple({"app": workload.app, "tier": workload.tier, **own}.items())
    return _label_sets[workload.key]


def _members(workload: Workload, state: PodState) -> dict[str, Any]:
    scheduled = state is not PodState.UNSCHEDULED
    placed = {"nodeName": "«node»"} if scheduled else {}
    spec: dict[str, Any] = {
        "volumes": [
            {"name": "kube-api-access-«access»", "projected": {"sources": _token_sources(), "defaultMode": 420}}
        ],
        "containers": [_container(image) for image in workload.images],
        "restartPolicy": "Never" if workload.job else "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        **placed,
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{trouble}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
            for trouble in ("not-ready", "unreachable")
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    return {"metadata": _metadata(workload, state), "spec": spec, "status": _status(workload, state)}


def _metadata(workload: Workload, state: PodState) -> dict[str, Any]:
    terminating = state is PodState.TERMINATING
    owner_kind, owner_version = ("Job", "batch/v1") if workload.job else ("ReplicaSet", "apps/v1")
    network = {"cni.projectcalico.org/podIP": "«pod_ip»/32", "cni.projectcalico.org/podIPs": "«pod_ip»/32"}
    return {
        "name": "«name»",
        "generateName": f"{workload.owner_name}-",
        "namespace": workload.namespace,
        "uid": "«uid»",
        "resourceVersion": "«version»",
        "generation": 2 if terminating else 1,
        "creationTimestamp": "«created»",
        **({"deletionTimestamp": "«changed»", "deletionGracePeriodSeconds": 30} if terminating else {}),
        "labels": dict(_labels(workload)),
        **({} if state is PodState.UNSCHEDULED else {"annotations": network}),
        "ownerReferences": [
            {
                "apiVersion": owner_version,
                "kind": owner_kind,
                "name": workload.owner_name,
                "uid": "«owner_uid»",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _container(image: Image) -> dict[str, Any]:
    limits = {"cpu": image.cpu_limit, "memory": image.memory_limit}
    port = {"ports": [{"name": "main", "containerPort": image.port, "protocol": "TCP"}]} if image.port else {}
    probe = {
        "readinessProbe": {
            "tcpSocket": {"port": image.port},
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        }
    }
    return {
        "name": image.name,
        "image": image.image,
        **port,
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
            {"name": "LOG_LEVEL", "value": "info"},
        ],
        "resources": {
            "limits": {key: value for key, value in limits.items() if value},
            "requests": {"cpu": image.cpu_request, "memory": image.memory_request},
        },
        "volumeMounts": [
            {
                "name": "kube-api-access-«access»",
                "readOnly": True,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            }
        ],
        **(probe if image.port else {}),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }


def _token_sources() -> list[dict[str, Any]]:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]


def _status(workload: Workload, state: PodState) -> dict[str, Any]:
    qos = {"qosClass": "Burstable"}
    if state is PodState.UNSCHEDULED:
        message = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available."
        unscheduled = _condition("PodScheduled", met=False, reason="Unschedulable", message=message)
        return {"phase": "Pending", "conditions": [unscheduled], **qos}
    finished = state in (PodState.SUCCEEDED, PodState.FAILED)
    ready = state in (PodState.RUNNING, PodState.TERMINATING)
    reason = "" if ready else "PodCompleted" if state is PodState.SUCCEEDED else "ContainersNotReady"
    running = state is not PodState.CREATING
    addresses = {"podIP": "«pod_ip»", "podIPs": [{"ip": "«pod_ip»"}]} if running else {}
    return {
        "phase": state.phase,
        "conditions": [
            _condition("PodReadyToStartContainers", met=running and not finished),
            _condition("Initialized", met=True, reason="PodCompleted" if state is PodState.SUCCEEDED else ""),
            _condition("Ready", met=ready, reason=reason),
            _condition("ContainersReady", met=ready, reason=reason),
            _condition("PodScheduled", met=True),
        ],
        "hostIP": "«host_ip»",
        "hostIPs": [{"ip": "«host_ip»"}],
        **addresses,
        "startTime": "«created»",
        "containerStatuses": [
            _container_status(image, state, main=index == 0) for index, image in enumerate(workload.images)
        ],
        **qos,
    }


def _condition(name: str, *, met: bool, reason: str = "", message: str = "") -> dict[str, Any]:
    return {
        "type": name,
        "status": "True" if met else "False",
        "lastProbeTime": None,
        "lastTransitionTime": "«changed»",
        **({"reason": reason} if reason else {}),
        **({"message": message} if message else {}),
    }


def _container_status(image: Image, state: PodState, *, main: bool) -> dict[str, Any]:
    now, before = _container_states(image, state, main=main)
    running = "running" in now
    started = state is not PodState.CREATING
    return {
        "name": image.name,
        "state": now,
        "lastState": before,
        "ready": running,
        "restartCount": "«#restarts»" if main else 0,
        "image": image.image,
        "imageID": f"{image.image.partition(':')[0]}@sha256:{build_digest(image.image, size=32).hex()}"
        if started
        else "",
        **({"containerID": "containerd://«container_id»"} if started else {}),
        "started": running,
    }


def _container_states(image: Image, state: PodState, *, main: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """A container's `state` and `lastState`."""
    match state:
        case PodState.CREATING:
            return {"waiting": {"reason": "ContainerCreating"}}, {}
        case PodState.CRASHING if main:
            message = f"back-off 5m0s restarting failed container={image.name} pod=«name»"
            return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}, _terminated("Error", 1)
        case PodState.SUCCEEDED:
            return _terminated("Completed", 0), {}
        case PodState.FAILED:
            return _terminated("Error", 2), {}
        case _:
            return {"running": {"startedAt": "«created»"}}, {}


def _terminated(reason: str, exit_code: int) -> dict[str, Any]:
    return {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": "«created»",
            "finishedAt": "«changed»",
            "containerID": "containerd://«container_id»",
        }
    }
