"""Where replicas meet, as the settings say."""

import logging
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fleet.model.redaction import EnvValues
from fleet.model.told import detail_of
from fleet.replication.options import NatsOptions
from server.settings.groups import Settings

if TYPE_CHECKING:
    from fleet.replication.replica import Replica

FRESH_SECONDS = 2.0
"""How old a cluster's last sign of life may be where it came by way of another replica."""

OWN_HISTORY = (
    "usage and its history are kept by each replica for itself, from when it ran: for one history that all have, name "
    "an InfluxDB with OPENMCP_INFLUX_URL or a Prometheus with OPENMCP_PROMETHEUS_URL"
)

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_shared_state(settings: Settings) -> AsyncIterator["Replica | None"]:
    """None where this process watches all clusters itself."""
    options = build_nats_options(settings)
    if options is None:
        yield None
        return
    # The client library of NATS: only for who has one.
    from fleet.replication.replica import open_replica

    async with open_replica(options) as replica:
        _log.info("this is replica %s of the state %s", options.replica, options.prefix)
        yield replica


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


async def try_shared_state(options: NatsOptions) -> str:
    """What NATS is and lets this replica do. Raises FleetError, whose words say what to mend."""
    # The client library of NATS is only for who has one.
    from fleet.replication.connection import StateUnavailable
    from fleet.replication.trial import Reason, TrialFailed, try_nats

    hints = {
        Reason.UNREACHABLE: "does a nats-server run there? OPENMCP_NATS_URL names it",
        Reason.TLS: "OPENMCP_NATS_CA_FILE must hold the authority of its certificate, and OPENMCP_NATS_CERT_FILE one "
        "that it trusts, where it wants one",
        Reason.CREDENTIALS: "OPENMCP_NATS_USERNAME and OPENMCP_NATS_PASSWORD, or OPENMCP_NATS_CREDENTIALS_FILE, must "
        "be those of a user that it has",
        Reason.JETSTREAM: "its configuration must have `jetstream`, and the account too",
        Reason.QUORUM: "more than half of the servers of its cluster must run",
        Reason.REPLICAS: f"OPENMCP_NATS_STREAM_REPLICAS is {options.stream_replicas}, which takes a cluster of as many "
        "servers",
        Reason.ROOM: "its volume or `max_file_store` is full or too small",
        Reason.RIGHTS: "the account must have the rights of `writer` in the chart's nats.conf, or OPENMCP_NATS_WRITES "
        "be false for a replica that only follows"
        if options.writes
        else "the account must have the rights of `follower` in the chart's nats.conf",
    }
    try:
        return await try_nats(options)
    except TrialFailed as error:
        hint = hints.get(error.reason)
        raise StateUnavailable(f"{detail_of(error)}{f' ({hint})' if hint else ''}") from error


def _name_replica() -> str:
    """Of several processes of one machine, and of one that is started again, each has a name of its own."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().partition(".")[0])
    return f"{host}-{secrets.token_hex(4)}"
