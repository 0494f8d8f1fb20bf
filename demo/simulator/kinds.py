"""The kinds a simulated API server stores, and the fields each can be selected by."""

from collections.abc import Iterable

from msgspec import Struct

_EVERY_NAMESPACED = ("metadata.name", "metadata.namespace")


class Kind(Struct, frozen=True):
    """One stored kind. `custom` kinds answer as CRDs do: type members in list items too, sorted members.

    `fields` are the paths a field selector may name. Source: each type's field label conversion in kube-apiserver.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    fields: tuple[str, ...] = _EVERY_NAMESPACED
    short_names: tuple[str, ...] = ()
    custom: bool = False

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`, as objects say it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """`/api/v1` or `/apis/apps/v1`: where its URLs begin."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    @property
    def qualified(self) -> str:
        """`pods` or `deployments.apps`, as messages say it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def type_members(self) -> bytes:
        """The first two members of an object of this kind, without braces, in the order the real server writes them."""
        if self.custom:
            return f'"apiVersion":"{self.api_version}","kind":"{self.kind}"'.encode()
        return f'"kind":"{self.kind}","apiVersion":"{self.api_version}"'.encode()


PODS = Kind(
    "",
    "v1",
    "pods",
    "Pod",
    namespaced=True,
    fields=(
        *_EVERY_NAMESPACED,
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    ),
    short_names=("po",),
)
NODES = Kind(
    "", "v1", "nodes", "Node", namespaced=False, fields=("metadata.name", "spec.unschedulable"), short_names=("no",)
)
NAMESPACES = Kind(
    "", "v1", "namespaces", "Namespace", namespaced=False, fields=("metadata.name", "status.phase"), short_names=("ns",)
)
EVENTS = Kind(
    "",
    "v1",
    "events",
    "Event",
    namespaced=True,
    fields=(
        *_EVERY_NAMESPACED,
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "reason",
        "type",
    ),
    short_names=("ev",),
)
SERVICES = Kind("", "v1", "services", "Service", namespaced=True, short_names=("svc",))
SECRETS = Kind("", "v1", "secrets", "Secret", namespaced=True, fields=(*_EVERY_NAMESPACED, "type"))
CONFIGMAPS = Kind("", "v1", "configmaps", "ConfigMap", namespaced=True, short_names=("cm",))
DEPLOYMENTS = Kind("apps", "v1", "deployments", "Deployment", namespaced=True, short_names=("deploy",))
REPLICASETS = Kind("apps", "v1", "replicasets", "ReplicaSet", namespaced=True, short_names=("rs",))
STATEFULSETS = Kind("apps", "v1", "statefulsets", "StatefulSet", namespaced=True, short_names=("sts",))
DAEMONSETS = Kind("apps", "v1", "daemonsets", "DaemonSet", namespaced=True, short_names=("ds",))
JOBS = Kind("batch", "v1", "jobs", "Job", namespaced=True, fields=(*_EVERY_NAMESPACED, "status.successful"))
CRONJOBS = Kind("batch", "v1", "cronjobs", "CronJob", namespaced=True, short_names=("cj",))
KUBEFEDCLUSTERS = Kind("core.kubefed.io", "v1beta1", "kubefedclusters", "KubeFedCluster", namespaced=True, custom=True)
OPENMCPCLUSTERS = Kind(
    "openmcp.k8s.io",
    "v1alpha1",
    "openmcpclusters",
    "OpenMCPCluster",
    namespaced=True,
    short_names=("oc",),
    custom=True,
)

MEMBER_KINDS = (
    PODS,
    NODES,
    NAMESPACES,
    EVENTS,
    SERVICES,
    SECRETS,
    CONFIGMAPS,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    DAEMONSETS,
    JOBS,
    CRONJOBS,
)
HOST_KINDS = (*MEMBER_KINDS, KUBEFEDCLUSTERS, OPENMCPCLUSTERS)


def find_kind(kinds: Iterable[Kind], root: str, plural: str) -> Kind | None:
    """The kind served at `root` (`/apis/apps/v1`) under this plural."""
    return next((kind for kind in kinds if kind.plural == plural and kind.root == root), None)
