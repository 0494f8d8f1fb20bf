"""Where points are sent to, by whom, and what a series is called there."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fleet.model.told import Told


@dataclass(frozen=True, slots=True)
class RemoteWriteOptions:
    """`url` is that of the receiver, whole; `timeout` of a request in seconds.

    A `token` goes before a user and a password, and what is in `token_file` before both. `tenant` is sent as
    `X-Scope-OrgID`. `cluster_label` is the label that names the cluster, and begins with a small letter.
    """

    url: str
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    tenant: str = ""
    cluster_label: str = "cluster"
    timeout: float = 5.0
    max_answer_bytes: int = 1 << 16
    connections: int = 1

    @property
    def product(self) -> str:
        return "remote write"

    @property
    def place(self) -> str:
        """Scheme, host and port, fit for a message."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def server(self) -> str:
        """Whom points are sent to, fit for a message."""
        return Told("remote write", f"remote write to {self.place}")
