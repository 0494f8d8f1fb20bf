"""Where replicas meet, as the settings say."""

import re
import secrets
import socket

from fleet.model.redaction import EnvValues
from fleet.replication.options import NatsOptions
from server.settings.groups import Settings

OWN_HISTORY = (
    "usage and its history are kept by each replica for itself, from when it ran: for one history that all have, name "
    "an InfluxDB with OPENMCP_INFLUX_URL"
)


def build_nats_options(settings: Settings) -> NatsOptions | None:
    """None where this process watches all clusters itself. Each call names another replica."""
    state = settings.state
    if state.state == "embedded":
        return None
    return NatsOptions(
        servers=state.nats_url,
        replica=_name_replica(),
        prefix=state.nats_prefix,
        username=state.nats_username,
        password=state.nats_password.get_secret_value() if state.nats_password else None,
        credentials_file=state.nats_credentials_file,
        ca_file=state.nats_ca_file,
        cert_file=state.nats_cert_file,
        key_file=state.nats_key_file,
        stream_replicas=state.nats_stream_replicas,
        manifests=state.nats_manifests,
        redact_env=EnvValues(settings.disclosure.redact_env),
        writes=state.nats_writes,
        lease_seconds=state.nats_lease,
    )


def keeps_own_history(settings: Settings) -> bool:
    """Whether replicas that share one state have each a history of usage of their own."""
    return settings.state.state == "nats" and settings.metrics.metric_store == "embedded"


def _name_replica() -> str:
    """Of several processes of one machine, and of one that is started again, each has a name of its own."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().partition(".")[0])
    return f"{host}-{secrets.token_hex(4)}"
