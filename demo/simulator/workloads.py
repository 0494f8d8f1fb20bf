"""What runs in a simulated cluster: the Deployments and Jobs, and how a number of pods is shared among them."""

from msgspec import Struct

from demo.simulator.naming import build_suffix


class Image(Struct, frozen=True):
    """One container of a workload. CPU as a quantity (`250m`), memory too (`256Mi`); a limit may be left out."""

    name: str
    image: str
    cpu_request: str
    memory_request: str
    cpu_limit: str | None = None
    memory_limit: str | None = None
    port: int | None = None


class Workload(Struct, frozen=True):
    """A Deployment, or a Job. `weight` is its share of the pods; `hash` is its pod-template-hash."""

    namespace: str
    name: str
    app: str
    tier: str
    images: tuple[Image, ...]
    weight: int
    hash: str
    job: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name

    @property
    def owner_name(self) -> str:
        """The ReplicaSet's name, or the Job's."""
        return self.name if self.job else f"{self.name}-{self.hash}"


def _deployment(namespace: str, name: str, tier: str, weight: int, *images: Image, pinned_hash: str = "") -> Workload:
    # As in reality the hash is that of the pod template, so it is the same in every cluster.
    template_hash = pinned_hash or build_suffix(namespace, name, "template", length=9)
    app = name.removesuffix("-deployment")
    return Workload(namespace, name, app, tier, images, weight, template_hash)


NGINX = _deployment(
    "default",
    "nginx-deployment",
    "web",
    3,
    Image("nginx", "nginx:1.27.4", "100m", "128Mi", "500m", "256Mi", 80),
    pinned_hash="55fbd9fd6d",
)
"""The one that the user document's examples name."""

REPORT = Workload(
    "reports",
    "nightly-report-29384720",
    "nightly-report",
    "batch",
    (Image("report", "registry.example/shop/report:3.1.0", "250m", "256Mi", "1", "512Mi"),),
    1,
    "",
    job=True,
)

WORKLOADS = (
    NGINX,
    _deployment(
        "shop",
        "frontend",
        "web",
        5,
        Image("frontend", "registry.example/shop/frontend:2.14.0", "200m", "256Mi", "1", "512Mi", 8080),
        Image("proxy", "registry.example/mesh/proxy:1.8.2", "50m", "64Mi", "200m", "128Mi", 15001),
    ),
    _deployment(
        "shop",
        "checkout",
        "api",
        4,
        Image("checkout", "registry.example/shop/checkout:5.0.3", "250m", "384Mi", "1", "768Mi", 8080),
    ),
    _deployment(
        "shop",
        "catalog",
        "api",
        4,
        Image("catalog", "registry.example/shop/catalog:4.7.1", "150m", "256Mi", "750m", "512Mi", 8080),
    ),
    _deployment(
        "data",
        "redis",
        "cache",
        2,
        Image("redis", "redis:7.4.2", "100m", "512Mi", "500m", "1Gi", 6379),
        Image("exporter", "registry.example/redis-exporter:1.66.0", "20m", "32Mi", "100m", "64Mi", 9121),
    ),
    _deployment(
        "data",
        "ingest",
        "worker",
        3,
        Image("ingest", "registry.example/data/ingest:0.9.12", "300m", "512Mi", "1500m", "1Gi"),
    ),
    _deployment(
        "monitoring",
        "prometheus",
        "ops",
        1,
        Image("prometheus", "prom/prometheus:v3.2.1", "500m", "1Gi", "2", "2Gi", 9090),
    ),
    _deployment(
        "kube-system",
        "coredns",
        "dns",
        1,
        Image("coredns", "registry.k8s.example/coredns:v1.12.0", "100m", "70Mi", None, "170Mi", 53),
    ),
    REPORT,
)

HOST_WORKLOADS = (
    _deployment(
        "openmcp",
        "openmcp-cluster-manager",
        "platform",
        1,
        Image("manager", "openmcp/openmcp-cluster-manager:v0.0.1", "100m", "128Mi", "500m", "256Mi"),
    ),
    _deployment(
        "openmcp",
        "openmcp-metric-collector-master",
        "platform",
        1,
        Image("collector", "openmcp/openmcp-metric-collector-master:v0.0.1", "100m", "128Mi", "500m", "256Mi", 2112),
    ),
    _deployment(
        "openmcp", "influxdb", "platform", 1, Image("influxdb", "influxdb:1.6", "500m", "512Mi", "2", "2Gi", 8086)
    ),
    _deployment(
        "kube-federation-system",
        "kubefed-controller-manager",
        "platform",
        2,
        Image("manager", "quay.example/kubernetes-multicluster/kubefed:v0.9.2", "100m", "64Mi", "500m", "512Mi"),
    ),
    _deployment(
        "kube-system",
        "coredns",
        "dns",
        2,
        Image("coredns", "registry.k8s.example/coredns:v1.12.0", "100m", "70Mi", None, "170Mi", 53),
    ),
)


def share_pods(workloads: tuple[Workload, ...], pods: int) -> list[Workload]:
    """The workload of each of `pods` pods: by weight, and each workload early, so that a few pods show many kinds."""
    turns = [
        (turn / workload.weight, position, workload)
        for position, workload in enumerate(workloads)
        for turn in range(workload.weight)
    ]
    order = [workload for _, _, workload in sorted(turns, key=lambda turn: turn[:2])]
    return [order[index % len(order)] for index in range(pods)]
