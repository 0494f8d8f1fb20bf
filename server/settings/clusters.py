"""The settings of cluster sources."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from server.settings.field import File, Group, Names, Paths, Words, setting
from server.settings.units import bracketed, check_label_selector

Source = Literal["kubefed", "clusterprofile", "secrets", "kubeconfig"]


class ClusterSettings(Group):
    """Which clusters there are. Some defaults depend on where the server runs: `server.settings.environment`."""

    cluster_source: Annotated[tuple[Source, ...], Words] = setting(
        ("kubeconfig",),
        "Where members are found; of several sources the first has its way where two have a name or a server. Left "
        "out: kubefed in a cluster or with OPENMCP_HOST_CONTEXT, else kubeconfig.",
        values="kubefed, clusterprofile, secrets, kubeconfig, or several of them, separated by commas; "
        "a list in a file",
        min_length=1,
    )
    kubeconfig: Paths = setting(
        (Path("~/.kube/config"),),
        "Kubeconfig files. Left out: those of KUBECONFIG, else ~/.kube/config; in a cluster none at all, unless "
        "kubeconfig is a source.",
        values="files, separated as in PATH",
    )
    kubeconfig_contexts: Names = setting(
        (),
        "Kubeconfig contexts that are members, with kubeconfig. Left out: all. Of those that lead to one server as one "
        "user the host's is the member, else the first.",
        values="contexts' names, separated by commas; a list in a configuration file",
    )
    host_context: str | None = setting(
        None,
        "Kubeconfig context of the host cluster. Left out with kubefed, clusterprofile or secrets: the pod's own "
        "service account where there is no kubeconfig, or where it is for the source kubeconfig, else the current "
        "context.",
        values="a context's name",
    )
    kubernetes_host: str | None = setting(
        None,
        "Address of the API server of the cluster that this runs in; Kubernetes gives it to every pod.",
        values="an IP address or a host name",
        aliases=("KUBERNETES_SERVICE_HOST",),
        pattern=r"^[A-Za-z0-9._:\[\]-]+$",
    )
    kubernetes_port: int = setting(
        443,
        "Its port, likewise.",
        values="a port, 1 to 65535",
        aliases=("KUBERNETES_SERVICE_PORT",),
        ge=1,
        le=65535,
    )
    kubefed_namespace: str = setting(
        "kube-federation-system", "Where KubeFedClusters and their Secrets are.", values="a namespace", min_length=1
    )
    platform_namespace: str = setting("openmcp", "Where OpenMCPClusters are.", values="a namespace", min_length=1)
    secrets_namespace: Names = setting(
        (),
        "Where Secrets are that lead to clusters; secrets needs it. Whoever may write Secrets there decides which "
        "clusters there are.",
        values="namespaces of the host, separated by commas, or * for all; a list in a file",
    )
    secrets_selector: Annotated[str | None, AfterValidator(check_label_selector)] = setting(
        None,
        "Labels of those Secrets. Left out: Cluster API's (`cluster.x-k8s.io/cluster-name`) and Argo CD's "
        "(`argocd.argoproj.io/secret-type=cluster`).",
        values="a label selector as kubectl takes it",
    )
    secrets_exec: bool = setting(
        False,
        "Whether programs are run here that such Secrets name (exec, auth-provider, execProviderConfig, "
        "awsAuthConfig): whoever may write the Secrets then runs what they like as this server.",
        values="true or false",
    )
    profile_namespace: str | None = setting(
        None,
        "Where ClusterProfiles are. Left out: in all namespaces of the host.",
        values="a namespace",
        min_length=1,
    )
    profile_providers_file: File | None = setting(
        None,
        "Which programs give the credentials of access providers (KEP-5339); followed as it changes.",
        values="a file, JSON or YAML, with clusterprofile",
    )
    events_kept: int = setting(
        2_000,
        "Newest events that are kept of each cluster, some 1 KiB each; with 0 events are not followed.",
        values="a number, 0 to 100000",
        ge=0,
        le=100_000,
    )
    join: bool = setting(
        False,
        "Whether `/join` and `/joinCloud` register the clusters that administrators hand in.",
        values="true or false",
    )

    workloads: bool = setting(
        True,
        "Whether Deployments, StatefulSets, DaemonSets, Jobs and CronJobs are followed beside pods and nodes, by five "
        "watches a cluster. Without, `workloads` are what the pods say of their owners.",
        values="true or false",
    )

    @model_validator(mode="after")
    def _has_what_its_sources_need(self) -> Self:
        if "secrets" in self.cluster_source and not self.secrets_namespace:
            raise ValueError(
                "OPENMCP_SECRETS_NAMESPACE is not set, must name the namespaces whose Secrets lead to clusters, or be *"
            )
        if "clusterprofile" in self.cluster_source and self.profile_providers_file is None:
            raise ValueError("OPENMCP_CLUSTER_SOURCE has clusterprofile, but OPENMCP_PROFILE_PROVIDERS_FILE is not set")
        return self

    @property
    def host_files(self) -> tuple[Path, ...]:
        """The kubeconfig files that lead to the host; none where that is the cluster that this runs in."""
        is_own = self.kubernetes_host is not None and self.host_context is None and "kubeconfig" in self.cluster_source
        return () if is_own else self.kubeconfig

    @property
    def own_cluster_url(self) -> str | None:
        """Where the API server of the cluster that this runs in is; None outside of one."""
        if self.kubernetes_host is None:
            return None
        return f"https://{bracketed(self.kubernetes_host)}:{self.kubernetes_port}"
