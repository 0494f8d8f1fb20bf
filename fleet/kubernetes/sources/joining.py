"""The clusters that wait in the host to be joined, as OpenMCPClusters: written by `/join`, read by `/joinable`."""

import asyncio
import base64
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fleet.kubernetes.auth.encoding import decode_base64
from fleet.kubernetes.errors import ApiRefused
from fleet.kubernetes.sources.submitted import check_submitted, read_server, read_submitted
from fleet.model.errors import ClusterAnswerInvalid, InvalidQuery
from fleet.ports import MAX_KUBECONFIG_BYTES, Connection, Registration, SubmittedCluster, UnjoinedCluster

if TYPE_CHECKING:
    from kubernetes_asyncio.client import CustomObjectsApi

_GROUP, _VERSION, _PLURAL = "openmcp.k8s.io", "v1alpha1", "openmcpclusters"
_NEVER = "0001-01-01T00:00:00Z"
_PAGE = 200
_MOST_PAGES = 20


class HostJoining:
    """The `Joining` port over the OpenMCPClusters in `namespace` of the host; `timeout` bounds a call, in seconds."""

    def __init__(self, namespace: str, timeout: float) -> None:
        self._namespace = namespace
        self._timeout = timeout

    read_submitted = staticmethod(read_submitted)

    async def check_submitted(self, submitted: SubmittedCluster, name: str) -> None:
        await check_submitted(submitted, name, self._timeout)

    async def register(self, host: Connection, submitted: SubmittedCluster, registration: Registration) -> bool:
        api = await asyncio.to_thread(_build_api, host, self._timeout)
        manifest = build_openmcp_cluster(submitted, self._namespace, registration)
        try:
            await api.create_namespaced_custom_object(_GROUP, _VERSION, self._namespace, _PLURAL, manifest)
        except ApiRefused as error:
            if error.status != 409:
                raise
            return False
        return True

    async def list_unjoined(self, host: Connection) -> list[UnjoinedCluster]:
        found = await self._list(host)
        # Kubeconfigs are YAML, which is slow to read.
        return await asyncio.to_thread(lambda: [_build_unjoined(name, spec) for name, spec in found])

    async def _list(self, host: Connection) -> list[tuple[str, Mapping[str, Any]]]:
        """Name and spec of each that has not joined, in pages."""
        api = await asyncio.to_thread(_build_api, host, self._timeout)
        found: list[tuple[str, Mapping[str, Any]]] = []
        after = ""
        for _ in range(_MOST_PAGES):
            page = await api.list_namespaced_custom_object(
                _GROUP, _VERSION, self._namespace, _PLURAL, limit=_PAGE, _continue=after
            )
            found += _select_unjoined(page.get("items") or ())
            metadata = page.get("metadata")
            token = metadata.get("continue") if isinstance(metadata, dict) else None
            if not token:
                return found
            after = str(token)
        raise ClusterAnswerInvalid(host.cluster, f"cluster {host.cluster} has more than {_PAGE * _MOST_PAGES} clusters")


def _build_api(host: Connection, timeout: float) -> "CustomObjectsApi":
    # The first call imports 859 modules, so it comes in a thread: the event loop does not stand still meanwhile.
    from kubernetes_asyncio.client import CustomObjectsApi

    from fleet.kubernetes.typed_api import TypedClient

    return CustomObjectsApi(TypedClient(host, timeout))


def build_openmcp_cluster(cluster: SubmittedCluster, namespace: str, registration: Registration) -> dict[str, Any]:
    """The OpenMCPCluster that waits to be joined, with the kubeconfig as it was written anew."""
    spec: dict[str, Any] = {
        "clusterPlatformType": registration.platform,
        "clusterNetworkLocation": "",
        "joinStatus": "UNJOIN",
        "joinStatusTime": _NEVER,
        "unJoinStatusTime": _NEVER,
        "nodeInfo": {"region": registration.region, "zone": registration.zone},
        "metalLBRange": {},
        "kubeconfigInfo": base64.b64encode(cluster.kubeconfig).decode(),
    }
    if registration.with_address:
        spec["serverIP"] = urlsplit(cluster.server).hostname or ""
    return {
        "apiVersion": f"{_GROUP}/{_VERSION}",
        "kind": "OpenMCPCluster",
        "metadata": {"name": registration.name, "namespace": namespace},
        "spec": spec,
    }


def _select_unjoined(items: Iterable[Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    for item in items:
        metadata, spec = (item.get("metadata"), item.get("spec")) if isinstance(item, dict) else (None, None)
        if isinstance(metadata, dict) and isinstance(spec, dict) and spec.get("joinStatus") == "UNJOIN":
            found.append((_text(metadata.get("name")), spec))
    return found


def _build_unjoined(name: str, spec: Mapping[str, Any]) -> UnjoinedCluster:
    info = spec.get("nodeInfo")
    place = info if isinstance(info, dict) else {}
    return UnjoinedCluster(
        name,
        _find_endpoint(spec),
        platform=_text(spec.get("clusterPlatformType")),
        region=_text(place.get("region")),
        zone=_text(place.get("zone")),
    )


def _find_endpoint(spec: Mapping[str, Any]) -> str:
    """The server that the stored kubeconfig names, else the address that was stored beside it."""
    encoded = _text(spec.get("kubeconfigInfo"))
    try:
        if encoded and len(encoded) <= 2 * MAX_KUBECONFIG_BYTES:
            return read_server(decode_base64(encoded))
    except (ValueError, InvalidQuery):
        pass  # whoever joins the cluster is told; here the address is all that is wanted
    return _text(spec.get("serverIP"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
