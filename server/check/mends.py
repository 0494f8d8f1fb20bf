"""The commands that mend what a check finds wrong with a cluster."""

import shlex
import ssl
from collections.abc import Sequence

from fleet.model.errors import ClusterUnauthorized, FleetError
from fleet.ports import MemberSpec
from server.own_command import own_command
from server.settings.groups import Settings

CLOCK = "timedatectl set-ntp true"
METRICS_SERVER = "https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml"

_NAME_MISMATCH = frozenset({62, 64})  # OpenSSL's x509_vfy.h, for a host name and for an address
_TIME = frozenset({9, 10})  # not yet valid, has expired


def find_reach_mend(settings: Settings, spec: MemberSpec, error: FleetError) -> str:
    """What may make a cluster of a kubeconfig answer that does not; empty where nothing that is known would."""
    if settings.clusters.cluster_source != ("kubeconfig",):
        return ""
    if isinstance(error, ClusterUnauthorized):
        return set_token(settings, spec.name)
    code = getattr(error.__cause__, "verify_code", None)
    if not isinstance(error.__cause__, ssl.SSLCertVerificationError) or code in _TIME:
        return ""
    option = "--tls-server-name=NAME" if code in _NAME_MISMATCH else "--certificate-authority=ca.crt --embed-certs"
    return f"{_config(settings)} set-cluster {_named(settings, spec.name, 'cluster')} {option}"


def set_token(settings: Settings, context: str) -> str:
    """Has the kubeconfig show another token; whoever types it may create tokens in that cluster."""
    token = f'"$(kubectl --context {shlex.quote(context)} -n openmcp create token openmcp-apiserver)"'
    return f"{_config(settings)} set-credentials {_named(settings, context, 'user')} --token={token}"


def grant(context: str, places: Sequence[str], identity: str) -> str:
    """Gives this server the rights of its tables; to be typed by whoever administrates that cluster."""
    where = " ".join(f"--where {place}" for place in places)
    return (
        f"{own_command()} rights {where} --user {shlex.quote(identity or 'NAME')} | "
        f"kubectl --context {shlex.quote(context)} apply --server-side -f -"
    )


def install_metrics_server(context: str) -> str:
    return f"kubectl --context {shlex.quote(context)} apply -f {METRICS_SERVER}"


def _config(settings: Settings) -> str:
    files = settings.clusters.kubeconfig
    return f"kubectl --kubeconfig {shlex.quote(str(files[0]))} config" if files else "kubectl config"


def _named(settings: Settings, context: str, entry: str) -> str:
    """The name of a context's cluster or user, which is seldom the context's own."""
    path = f'{{.contexts[?(@.name=="{context}")].context.{entry}}}'
    return f'"$({_config(settings)} view -o jsonpath={shlex.quote(path)})"'
