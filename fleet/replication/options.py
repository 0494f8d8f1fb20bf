"""How this replica reaches the shared state, and what it is to it."""

from pathlib import Path

from msgspec import Struct

from fleet.model.redaction import EnvValues


class NatsOptions(Struct, frozen=True, kw_only=True):
    """`servers` are URLs; times are in seconds. `replica` names this process among all, for as long as it lives.

    Names of streams, subjects and buckets begin with `prefix`; a stream is kept by `stream_replicas` servers. Without
    `manifests` records travel with what details are made of instead, and with `redact_env` what answers hide is hidden
    in what is shared. A replica that does not write only follows. A lease that is not renewed for
    `lease_seconds` is free; tombstones are kept for `marker_seconds`.
    """

    servers: tuple[str, ...]
    replica: str
    prefix: str = "openmcp"
    username: str | None = None
    password: str | None = None
    credentials_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    stream_replicas: int = 1
    manifests: bool = True
    redact_env: EnvValues = EnvValues.SHOWN
    writes: bool = True
    lease_seconds: float = 6.0
    marker_seconds: float = 600.0
