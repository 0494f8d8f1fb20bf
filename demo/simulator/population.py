"""Fills a simulated cluster's store: nodes, namespaces, workloads and their pods, all as of some time ago."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from demo.simulator.kinds import (
    CONFIGMAPS,
    CRONJOBS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    SECRETS,
    SERVICES,
    Kind,
)
from demo.simulator.naming import build_number, build_suffix, build_uid, format_time
from demo.simulator.nodes import NodePlan, build_node_entry
from demo.simulator.pods import PodSeed, PodState, build_pod_entry
from demo.simulator.store import Entry, Store, build_entry
from demo.simulator.workloads import NGINX, Workload, share_pods

_DAY = 86_400.0
DOCUMENTED_POD = "nginx-deployment-55fbd9fd6d-h7d8t"
"""The pod that the user document's examples ask for; the first pod of the first member, and never replaced."""

_BASIC_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class ClusterPlan(Struct, frozen=True):
    """A cluster before it is filled. `number` is 0 for the host and counts the members from 1."""

    name: str
    number: int
    nodes: tuple[NodePlan, ...]
    workloads: tuple[Workload, ...]
    pods: int


def build_node_plans(cluster: str, number: int, nodes: int, pods: int, region: str, zone: str) -> tuple[NodePlan, ...]:
    """`kube1-worker1` ... for the first member; large enough that the pods' requests fit."""
    per_node = -(-pods // max(nodes, 1))
    cpus = 8 if per_node <= 20 else 16 if per_node <= 45 else 32 if per_node <= 100 else 128
    created = time.time() - 90 * _DAY
    prefix = f"kube{number}" if number else "openmcp"
    return tuple(
        NodePlan(
            cluster=cluster,
            name=f"{prefix}-worker{index + 1}",
            address=f"10.{number % 250}.{index // 250}.{index % 250 + 10}",
            cpus=cpus,
            memory_kib=cpus * 4 * 1024 * 1024,
            max_pods=max(110, per_node * 2),
            region=region,
            zone=zone,
            created_at=created,
            unschedulable=number == 2 and nodes > 2 and index == nodes - 1,
        )
        for index in range(nodes)
    )


def fill_store(store: Store, plan: ClusterPlan) -> None:
    now = time.time()
    shares = share_pods(plan.workloads, plan.pods)
    replicas = Counter(workload.key for workload in shares)
    seeds = [build_seed(plan, workload, index, now) for index, workload in enumerate(shares)]
    used = [workload for workload in plan.workloads if replicas[workload.key]]
    namespaces = sorted({*_BASIC_NAMESPACES, *(workload.namespace for workload in plan.workloads)})
    store.load(NAMESPACES, (_namespace(plan, name) for name in namespaces))
    store.load(NODES, (build_node_entry(node) for node in plan.nodes))
    store.load(PODS, (build_pod_entry(seed) for seed in seeds))
    store.load(CONFIGMAPS, (_root_ca(plan, name) for name in namespaces))
    store.load(SECRETS, (_registry_secret(plan, name) for name in namespaces if name not in _BASIC_NAMESPACES))
    deployments = [workload for workload in used if not workload.job]
    store.load(SERVICES, _services(plan, deployments))
    counts = Counter((seed.workload.key, seed.state) for seed in seeds)
    for kind in (DEPLOYMENTS, REPLICASETS):
        scaled = ((each, replicas[each.key], counts[each.key, PodState.RUNNING]) for each in deployments)
        store.load(kind, (_scaled(plan, kind, *each) for each in scaled))
    jobs = [workload for workload in used if workload.job]
    store.load(CRONJOBS, (_cron_job(plan, job) for job in jobs))
    ended = ((job, counts[job.key, PodState.SUCCEEDED], counts[job.key, PodState.FAILED]) for job in jobs)
    store.load(JOBS, (_job(plan, *each) for each in ended))
    store.load(EVENTS, (entry for seed in seeds[:60] for entry in build_events(plan.name, seed)))


def build_seed(plan: ClusterPlan, workload: Workload, index: int, now: float, generation: int = 0) -> PodSeed:
    """The pod at an index of a cluster. A later generation is its replacement, created now and not yet scheduled."""
    pinned = plan.number == 1 and index == 0 and workload is NGINX and not generation
    name = f"{workload.owner_name}-{build_suffix(plan.name, workload.owner_name, index, generation)}"
    state = PodState.UNSCHEDULED if generation else _first_state(workload, index)
    age = 0.0 if generation else 7200 + build_number(plan.name, index, below=int(20 * _DAY))
    changed = now if generation else now - min(age, 1800.0 + index % 600)
    seed = PodSeed(
        workload=workload,
        state=state,
        name=DOCUMENTED_POD if pinned else name,
        uid=build_uid("pod", plan.name, index, generation),
        owner_uid=build_uid("owner", plan.name, workload.owner_name),
        created=format_time(now - age),
        changed=format_time(changed if state is not PodState.RUNNING else now - age),
        restarts=3 + index % 40 if state is PodState.CRASHING else 0,
    )
    return seed if state is PodState.UNSCHEDULED else place_seed(plan, seed, index)


def place_seed(plan: ClusterPlan, seed: PodSeed, index: int) -> PodSeed:
    """The seed on a node that takes pods, with addresses."""
    nodes = [node for node in plan.nodes if not node.unschedulable]
    node = nodes[index % len(nodes)]
    return PodSeed(
        workload=seed.workload,
        state=PodState.CREATING if seed.state is PodState.UNSCHEDULED else seed.state,
        name=seed.name,
        uid=seed.uid,
        owner_uid=seed.owner_uid,
        created=seed.created,
        changed=seed.changed,
        node=node.name,
        host_ip=node.address,
        pod_ip=f"10.244.{index // 250 % 250}.{index % 250 + 2}",
        restarts=seed.restarts,
    )


def _first_state(workload: Workload, index: int) -> PodState:
    if workload.job:
        return PodState.FAILED if index % 5 == 4 else PodState.SUCCEEDED
    if index % 29 == 11:
        return PodState.CRASHING
    return PodState.UNSCHEDULED if index % 37 == 17 else PodState.RUNNING


def build_events(cluster: str, seed: PodSeed) -> list[Entry]:
    image = seed.workload.images[0]
    placed = f"Successfully assigned {seed.workload.namespace}/{seed.name} to {seed.node}"
    match seed.state:
        case PodState.UNSCHEDULED:
            what = [
                ("Warning", "FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.", "default-scheduler")
            ]
        case PodState.CRASHING:
            text = f"Back-off restarting failed container {image.name} in pod {seed.name}"
            what = [("Warning", "BackOff", text, "kubelet")]
        case PodState.TERMINATING:
            what = [("Normal", "Killing", f"Stopping container {image.name}", "kubelet")]
        case _:
            what = [
                ("Normal", "Scheduled", placed, "default-scheduler"),
                ("Normal", "Started", f"Started container {image.name}", "kubelet"),
            ]
    return [_event(cluster, seed, *parts) for parts in what]


def _event(cluster: str, seed: PodSeed, kind: str, reason: str, message: str, source: str) -> Entry:
    namespace = seed.workload.namespace
    members = {
        "metadata": {
            "name": f"{seed.name}.{build_number(seed.uid, reason, below=1 << 31):016x}",
            "namespace": namespace,
            "uid": build_uid("event", cluster, seed.uid, reason),
            "creationTimestamp": seed.changed,
        },
        "involvedObject": {
            "kind": "Pod",
            "namespace": namespace,
            "name": seed.name,
            "uid": seed.uid,
            "apiVersion": "v1",
        },
        "reason": reason,
        "message": message,
        "source": {"component": source, **({"host": seed.node} if source == "kubelet" else {})},
        "firstTimestamp": seed.changed,
        "lastTimestamp": seed.changed,
        "count": 1 + seed.restarts,
        "type": kind,
        "eventTime": None,
        "reportingComponent": source,
        "reportingInstance": seed.node if source == "kubelet" else "",
    }
    return build_entry(EVENTS, members)


def _metadata(plan: ClusterPlan, kind: Kind, namespace: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "uid": build_uid(kind.plural, plan.name, namespace, name),
        "creationTimestamp": format_time(time.time() - 60 * _DAY),
        **more,
    }


def _namespace(plan: ClusterPlan, name: str) -> Entry:
    labels = {"kubernetes.io/metadata.name": name}
    members = {
        "metadata": _metadata(plan, NAMESPACES, "", name, labels=labels),
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }
    return build_entry(NAMESPACES, members)


def _root_ca(plan: ClusterPlan, namespace: str) -> Entry:
    text = "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n"
    members = {"metadata": _metadata(plan, CONFIGMAPS, namespace, "kube-root-ca.crt"), "data": {"ca.crt": text}}
    return build_entry(CONFIGMAPS, members)


def _registry_secret(plan: ClusterPlan, namespace: str) -> Entry:
    members = {
        "metadata": _metadata(plan, SECRETS, namespace, "app-settings"),
        "data": {"password": "c2ltdWxhdGVk"},
        "type": "Opaque",
    }
    return build_entry(SECRETS, members)


def _services(plan: ClusterPlan, deployments: Iterable[Workload]) -> Iterable[Entry]:
    for index, workload in enumerate(deployments):
        port = workload.images[0].port
        if port is None:
            continue
        address = f"10.96.{plan.number % 250}.{index + 10}"
        members = {
            "metadata": _metadata(plan, SERVICES, workload.namespace, workload.app, labels={"app": workload.app}),
            "spec": {
                "ports": [{"name": "main", "protocol": "TCP", "port": port, "targetPort": port}],
                "selector": {"app": workload.app},
                "clusterIP": address,
                "clusterIPs": [address],
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "internalTrafficPolicy": "Cluster",
            },
            "status": {"loadBalancer": {}},
        }
        yield build_entry(SERVICES, members)


def _scaled(plan: ClusterPlan, kind: Kind, workload: Workload, replicas: int, ready: int) -> Entry:
    """A Deployment or its ReplicaSet, as its first pods make it; nothing of it changes afterwards."""
    replica_set = kind is REPLICASETS
    labels = {"app": workload.app, "tier": workload.tier}
    selected = {"app": workload.app, **({"pod-template-hash": workload.hash} if replica_set else {})}
    deployment_uid = build_uid(DEPLOYMENTS.plural, plan.name, workload.namespace, workload.name)
    owner = _owner(DEPLOYMENTS, workload.name, deployment_uid)
    name = workload.owner_name if replica_set else workload.name
    metadata = _metadata(plan, kind, workload.namespace, name, generation=1, labels=labels | selected)
    metadata["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    if replica_set:
        # The pods name this uid as their owner's.
        metadata |= {"uid": build_uid("owner", plan.name, workload.owner_name), "ownerReferences": [owner]}
    members = {
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selected},
            "template": _template(workload, labels | selected, "Always"),
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "readyReplicas": ready,
            "availableReplicas": ready,
        },
    }
    if not replica_set:
        members["status"] |= {
            "updatedReplicas": replicas,
            "unavailableReplicas": replicas - ready,
            "conditions": [
                _condition("Progressing", "NewReplicaSetAvailable", lastUpdateTime=metadata["creationTimestamp"]),
                _condition("Available", "MinimumReplicasAvailable", lastUpdateTime=metadata["creationTimestamp"]),
            ],
        }
    return build_entry(kind, members)


def _job(plan: ClusterPlan, job: Workload, succeeded: int, failed: int) -> Entry:
    labels, began = {"app": job.app, "tier": job.tier}, time.time() - _DAY / 2
    metadata = _metadata(plan, JOBS, job.namespace, job.name, generation=1, labels=labels)
    cron_job_uid = build_uid(CRONJOBS.plural, plan.name, job.namespace, job.app)
    metadata |= {
        "uid": build_uid("owner", plan.name, job.owner_name),
        "creationTimestamp": format_time(began),
        "ownerReferences": [_owner(CRONJOBS, job.app, cron_job_uid)],
    }
    members = {
        "metadata": metadata,
        "spec": {
            "parallelism": 1,
            "completions": succeeded,
            "backoffLimit": 6,
            "selector": {"matchLabels": {"job-name": job.name}},
            "template": _template(job, labels | {"job-name": job.name}, "Never"),
            "suspend": False,
        },
        "status": {
            "startTime": format_time(began),
            "completionTime": format_time(began + 600),
            "succeeded": succeeded,
            "failed": failed,
            "ready": 0,
            "conditions": [_condition("Complete", "CompletionsReached", format_time(began + 600))],
        },
    }
    return build_entry(JOBS, members)


def _cron_job(plan: ClusterPlan, job: Workload) -> Entry:
    labels = {"app": job.app, "tier": job.tier}
    members = {
        "metadata": _metadata(plan, CRONJOBS, job.namespace, job.app, generation=1, labels=labels),
        "spec": {
            "schedule": "0 3 * * *",
            "concurrencyPolicy": "Forbid",
            "suspend": False,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": {"template": _template(job, labels, "Never")}},
        },
        "status": {"lastScheduleTime": format_time(time.time() - _DAY / 2)},
    }
    return build_entry(CRONJOBS, members)


def _owner(kind: Kind, name: str, uid: str) -> dict[str, Any]:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _condition(kind: str, reason: str, since: str = "", **more: str) -> dict[str, str]:
    since = since or more.get("lastUpdateTime", "")
    return {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": since, **more}


def _template(workload: Workload, labels: dict[str, str], restart_policy: str) -> dict[str, Any]:
    containers = [
        {
            "name": image.name,
            "image": image.image,
            "resources": {"requests": {"cpu": image.cpu_request, "memory": image.memory_request}},
        }
        for image in workload.images
    ]
    return {"metadata": {"labels": labels}, "spec": {"containers": containers, "restartPolicy": restart_policy}}
