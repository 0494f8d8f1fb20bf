"""A pod and a node to select."""

from msgspec.structs import replace

from fleet.model.objects import NO_RESOURCES, Node, Pod, PodPhase

POD = Pod(
    cluster="cluster1",
    namespace="shop",
    name="web-1",
    uid="u",
    resource_version="1",
    phase=PodPhase.RUNNING,
    status="Running",
    ready_containers=1,
    total_containers=1,
    restarts=0,
    created_at=0.0,
    node_name="n1",
    pod_ip="10.0.0.1",
    host_ip="10.0.1.1",
    qos_class="Burstable",
    service_account="default",
    restart_policy="Always",
    scheduler_name="default-scheduler",
    labels=(),
    owner=None,
    requests=NO_RESOURCES,
    limits=NO_RESOURCES,
    manifest=b"",
)
PENDING = replace(POD, name="web-2", phase=PodPhase.PENDING, node_name=None, pod_ip=None)

NODE = Node(
    cluster="cluster1",
    name="n1",
    uid="u",
    resource_version="1",
    ready=True,
    status="Ready",
    unschedulable=False,
    roles=(),
    taints=(),
    addresses=(),
    kubelet_version="v1.36.3",
    os_image=None,
    architecture=None,
    region=None,
    zone=None,
    created_at=0.0,
    labels=(),
    conditions=(),
    capacity=NO_RESOURCES,
    allocatable=NO_RESOURCES,
    manifest=b"",
)
CORDONED = replace(NODE, name="n2", unschedulable=True)
