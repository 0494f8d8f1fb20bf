"""Records as the decoder makes them, for tests that need no bytes."""

from fleet.model.objects import NO_RESOURCES, Node, Owner, Pod, PodPhase, Resources
from fleet.model.selectors import parse_label_selector
from fleet.model.workloads import Workload, build_entry, qualify


def build_pod_record(
    cluster: str,
    namespace: str,
    name: str,
    *,
    node: str | None = "n1",
    version: str = "1",
    phase: PodPhase = PodPhase.RUNNING,
    restarts: int = 0,
    created_at: float = 0.0,
    requests: Resources = NO_RESOURCES,
    labels: tuple[tuple[str, str], ...] = (),
    owner: Owner | None = None,
) -> Pod:
    return Pod(
        cluster=cluster,
        namespace=namespace,
        name=name,
        uid=f"uid-{name}",
        resource_version=version,
        phase=phase,
        status=phase.value,
        ready_containers=1,
        total_containers=1,
        restarts=restarts,
        created_at=created_at,
        node_name=node,
        pod_ip=None,
        host_ip=None,
        qos_class=None,
        service_account="default",
        restart_policy="Always",
        scheduler_name="default-scheduler",
        labels=labels,
        owner=owner,
        requests=requests,
        limits=NO_RESOURCES,
        manifest=b"",
    )


def build_node_record(cluster: str, name: str, *, ready: bool = True, created_at: float = 0.0) -> Node:
    return Node(
        cluster=cluster,
        name=name,
        uid=f"uid-{name}",
        resource_version="1",
        ready=ready,
        status="Ready" if ready else "NotReady",
        unschedulable=False,
        roles=(),
        taints=(),
        addresses=(),
        kubelet_version="v1.36.3",
        os_image=None,
        architecture=None,
        region=None,
        zone=None,
        created_at=created_at,
        labels=(),
        conditions=(),
        capacity=NO_RESOURCES,
        allocatable=NO_RESOURCES,
        manifest=b"",
    )


def build_workload_record(
    cluster: str,
    namespace: str,
    name: str,
    kind: str = "Deployment",
    *,
    api_version: str = "apps/v1",
    version: str = "1",
    owner: Owner | None = None,
    selector: str = "",
) -> Workload:
    return Workload(
        cluster=cluster,
        namespace=namespace,
        name=name,
        kind=kind,
        api_version=api_version,
        entry=build_entry(name, qualify(kind, api_version)),
        uid=f"uid-{kind}-{name}",
        resource_version=version,
        owner=owner,
        selector=parse_label_selector(selector or f"app={name}"),
    )
